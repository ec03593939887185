"""Files and modules of other frameworks as torch modules, and every torch module as one traced graph."""
