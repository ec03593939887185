"""The parameters of a torch net as a task of the core: grouped into blocks, packed, kept in files."""
