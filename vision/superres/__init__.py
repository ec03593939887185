"""Super-resolution: pictures enlarged by small nets, and the net that is searched for so many milliseconds."""
