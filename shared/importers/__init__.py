"""Files and modules of other frameworks as torch modules and integer programs."""
