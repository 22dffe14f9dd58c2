"""Which pictures are meant: one definition for every command that takes some."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from capcli.errors import UsageError
from capcli.options import option
from capcli.pictures.find import Found, find_pictures
from capcli.pictures.lists import read_list
from capcli.pictures.spelling import respell


@dataclass(frozen=True)
class InputOptions:
    """Where pictures are looked for, beside the paths that are named one by one."""

    recursive: bool = option(False, "Look into sub-folders too.", flag="-r")
    from_file: str | None = option(None, "Also take paths from this file, a line each; - is stdin.", metavar="LIST")
    null: bool = option(False, "Paths in LIST end with a NUL byte, as from find -print0.", flag="-0")
    include: tuple[str, ...] = option(
        (), "Only names that match, such as 'IMG_*' or '2019/**/*.png'; repeat for more.", metavar="PATTERN"
    )
    exclude: tuple[str, ...] = option(
        (), "No names that match, of files or folders, such as '*_thumb.*'; repeat for more.", metavar="PATTERN"
    )

    def find(self, paths: Sequence[str], watched: Path | None = None) -> tuple[Found, Path]:
        """The pictures that `paths` and the list name; `-` among the paths is a list on stdin.

        Args:
            paths: files and folders.
            watched: a folder whose pictures are waited for; it counts for the common folder only.

        Returns:
            the pictures, and the deepest folder that holds all that was named. A pattern stands for what it matches,
            so that it makes no difference whether capcli or a shell expanded it.

        Raises:
            UsageError: if none is named, none of what is named exists or holds pictures, the list cannot be read, or
                `watched` is no folder.
        """
        named = [str(respell(path)) for path in paths if path != "-"]
        sources = [self.from_file] if self.from_file else []
        if "-" in paths and "-" not in sources:
            sources.append("-")
        if self.null and not sources:
            raise UsageError("-0 says how a list of paths is separated: add --from-file LIST, or - for stdin")
        listed = [str(respell(path)) for source in sources for path in read_list(source, null=self.null)]
        if not (named or listed or watched):
            raise UsageError("name photographs or folders of them, --from-file LIST or --watch FOLDER")
        found = find_pictures(
            named, listed=listed, recursive=self.recursive, include=self.include, exclude=self.exclude
        )
        folders = [*found.named, *listed]
        if watched is not None:
            if not watched.is_dir():
                raise UsageError(f"--watch needs a folder, and {watched} is none")
            folders.append(str(watched))
        return found, common_folder(folders)

    def look(self, folder: Path) -> list[Path]:
        """The pictures in a folder, which may be none."""
        try:
            return find_pictures(
                [folder], recursive=self.recursive, include=self.include, exclude=self.exclude
            ).pictures
        except UsageError:
            return []


def common_folder(paths: Sequence[str]) -> Path:
    """The deepest folder that holds all files and folders; the current drive where they lie on several."""
    # Without Path, which takes longer than all the rest where a list names very many.
    folders = {path if os.path.isdir(path) else _folder_of(path) for path in paths}  # noqa: PTH112
    try:
        return Path(os.path.commonpath([os.path.abspath(folder) for folder in folders]))  # noqa: PTH100
    except ValueError:  # several drives
        return Path(Path.cwd().anchor)


def _folder_of(file: str) -> str:
    folder, name = os.path.split(file)
    # To Path, which names pictures, a file is the same with a slash behind it.
    return folder if name not in ("", ".") else str(Path(file).parent)
