"""What the operating system refused, in words."""


def os_error_text(error: OSError) -> str:
    """`FILE: what is wrong`, without the number that Python puts in front.

    >>> os_error_text(FileNotFoundError(2, "No such file or directory", "my.toml"))
    'my.toml: no such file or directory'
    """
    if error.strerror is None:
        return str(error)
    reason = error.strerror[:1].lower() + error.strerror[1:]
    places = [str(place) for place in (error.filename, error.filename2) if place is not None]
    return f"{' -> '.join(places)}: {reason}" if places else reason
