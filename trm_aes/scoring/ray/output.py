"""The folder of Parquet files that scores are written to: whole, or not at all."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from ...data.formats import check_is_parquet_folder, is_local
from ...data.rejection import RowCheck, check_can_reject, rejected_path
from ...errors import InputError, explained
from ...files import FolderKind, check_is_folder_to_be, check_is_outside, new_folder
from ..review import NEEDS_REVIEW
from .files import file_system_of
from .rows import FILE, PREFIX, ROW, WAS_CUT

# Written last, as Hadoop and Spark do: a folder without it is not whole. Readers of Parquet pass it over.
SUCCESS = "_SUCCESS"
SCORED_FOLDER = FolderKind.with_record("`trm-aes score`", SUCCESS)


@dataclass(frozen=True)
class ScoredFolder:
    """
    Where scores are written.

    Args:
        output: path or address of a folder.
        overwrite: whether an earlier output in its place may be replaced.
    """

    output: str
    overwrite: bool = False

    def check(self, source: str, with_rejected: bool):
        """
        Checks that the folder may be written, and the file of rejected rows beside it.

        Raises:
            InputError: if it may not.
        """
        check_is_parquet_folder(self.output)
        if is_local(self.output):
            check_is_folder_to_be(self.output, self.overwrite, SCORED_FOLDER)
            if is_local(source):
                check_is_outside(source, self.output, "source")
            if with_rejected:
                check_can_reject(self.output, self.overwrite, {"source": source} if is_local(source) else {})
            return
        if self.overwrite:
            raise InputError(
                f"`overwrite` has no effect on {self.output}: only folders of this machine are replaced whole. Choose another "
                "output."
            )
        for path in (self.output, *([self._rejected] if with_rejected else [])):
            system, inner = file_system_of(path)
            with explained(f"{path} cannot be written", "Is its address right, and may you write there?"):
                is_free = _is_free(system, inner)
            if not is_free:
                raise InputError(f"{path} exists. Choose another output.")

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[fs.FileSystem, str]]:
        """
        The file system and the folder in it to write to. In a file system of this machine it is a temporary one, which takes
        its place when the block ends well; elsewhere it is the output, of which nothing is left when the block ends otherwise.
        """
        if is_local(self.output):
            with new_folder(self.output, self.overwrite, SCORED_FOLDER) as folder:
                yield fs.LocalFileSystem(), str(folder)
            return
        system, path = file_system_of(self.output)
        system.create_dir(path)
        try:
            yield system, path
        except BaseException:
            with contextlib.suppress(OSError):
                system.delete_dir(path)
            raise

    def write_rejected(self, check: RowCheck, in_words: Callable[[str], str]) -> str | None:
        """Writes the rows that were set aside, to `OUTPUT.rejected.csv`; see [`RowCheck.write`]."""
        if is_local(self.output):
            return check.write(rejected_path(self.output), self.overwrite, in_words)
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "rejected.csv"
            said = check.write(local, False, in_words)
            if said is not None:
                system, path = file_system_of(self._rejected)
                with open(local, "rb") as file, system.open_output_stream(path, compression=None) as remote:
                    shutil.copyfileobj(file, remote)
            return said and said.replace(str(local), self._rejected)

    @property
    def _rejected(self) -> str:
        return f"{self.output.rstrip('/')}.rejected.csv"


def write_part(table: pa.Table, system: fs.FileSystem, folder: str) -> pa.Table:
    """
    Writes rows to a file named by the place of the first of them, so that names sort as rows do and a task that is done again
    writes the same file.

    Returns:
        One row: how many essays were `scored`, were `cut`, answer prompts that are `unknown`, and are `to_review`, and the name
        of the file, `part`.
    """
    is_scored = pc.is_valid(table["predicted_score"])
    counts = {
        "scored": pc.sum(is_scored),
        "cut": pc.sum(table[WAS_CUT]),
        "unknown": pc.sum(pc.invert(is_scored)),
        "to_review": pc.sum(table[NEEDS_REVIEW]) if NEEDS_REVIEW in table.column_names else pa.scalar(0),
    }
    part = f"part-{table[FILE][0].as_py():05}-{table[ROW][0].as_py():010}.parquet"
    shown = table.drop_columns([name for name in table.column_names if name.startswith(PREFIX)])
    pq.write_table(shown, f"{folder}/{part}", filesystem=system)
    return pa.table({name: [count.as_py() or 0] for name, count in counts.items()} | {"part": [part]})


def check_parts(names: Sequence[str], system: fs.FileSystem, folder: str, output: str):
    """
    Checks that the files which the nodes have written are those that this machine sees. A file of a task that was done again has
    the name of the first.

    Raises:
        InputError: if they are not.
    """
    found = {info.base_name for info in system.get_file_info(fs.FileSelector(folder))}
    if found != set(names) or len(names) != len(found):
        raise InputError(
            f"{output}: of {len(names):,} files that the nodes have written, {len(found & set(names)):,} can be seen here. The "
            "folder must lie on disks that all nodes and this machine share, or at an address such as s3://."
        )


def write_success(system: fs.FileSystem, folder: str, record: dict[str, Any]):
    """Says that the folder is whole, and what was written with which scorer."""
    with system.open_output_stream(f"{folder}/{SUCCESS}", compression=None) as file:
        file.write((json.dumps(record, indent=2) + "\n").encode())


def _is_free(system: fs.FileSystem, path: str) -> bool:
    info = system.get_file_info(path)
    if info.type == fs.FileType.Directory:
        return not system.get_file_info(fs.FileSelector(path))
    return bool(info.type == fs.FileType.NotFound)
