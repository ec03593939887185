"""The compression core: menus, prices, tasks, and the solvers between them."""
