"""A folder of pictures: the setting that names it, the files in it, and what they are identified by."""

import os
from collections.abc import Sequence
from pathlib import Path

from shared.lab import Seeded, hash_bytes, hash_file
from vision.data.picture import SUFFIXES


class FolderSettings(Seeded):
    """Settings of what is trained and compared on the pictures of a folder, or on generated ones for want of it."""

    data: str

    @property
    def is_generated(self) -> bool:
        """Whether pictures are generated for want of a folder."""
        return self.data.startswith("$QWEDGE_DATA") and not os.environ.get("QWEDGE_DATA")

    @property
    def folder(self) -> Path:
        """With `$NAMES` and `~` expanded."""
        return Path(os.path.expandvars(self.data)).expanduser()


def picture_files(folder: Path) -> list[Path]:
    """In the order of their names; not those of folders inside."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.is_dir())


def hash_pictures(paths: Sequence[Path]) -> str:
    """One hash of the files and their names."""
    return hash_bytes("\n".join(f"{path.name} {hash_file(path)}" for path in paths).encode())
