"""Reading what users point at, which is hostile: links, pipes, binaries, names made to confuse.

Nothing outside of the directories that were given is ever read, and nothing but a regular file.
"""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.errors import SourceError
from willitcompile.files import below, current_directory, has_control, quoted, read_regular, relative, sized, why
from willitcompile.model import MIB, SourceUnit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class SizeLimits(NamedTuple):
    """How much source one check takes in. Both are settings."""

    file_bytes: int = 16 * MIB
    """One file. SQLite's amalgamation has 9 MB."""
    unit_bytes: int = 64 * MIB
    """All the files of one source unit together."""


MAX_FILES = 10_000
"""Files of one source unit. Boost has 15,000 headers, of which no compile wants even a tenth."""

SYSTEM_DIRS = ("/usr/include", "/usr/local/include", "/usr/lib", "/usr/lib64")
"""Where toolchains have headers of their own: never sent, as whatever runs the compile has them or has others."""

MAX_NOTES = 100
"""Notes of one source unit. Nobody reads more."""


class SourceTree:
    """The files that one compile may see, read safely and laid out for its job.

    Paths go in and out absolute and normalised, as `main` and `absolute()` give them. A file is read only
    where its real path lies in the real path of one of the roots: the main file's own directory, the
    directories given, the include directories. `send` marks a file as part of the unit; `unit` lays out what
    was sent.
    """

    def __init__(
        self,
        main: str,
        *,
        roots: Sequence[str] = (),
        include_dirs: Sequence[str] = (),
        cwd: str | None = None,
        limits: SizeLimits | None = None,
        virtual: Mapping[str, bytes] | None = None,
        disk: bool = True,
        on_look: Callable[[str], None] | None = None,
        search: Sequence[tuple[str, str]] = (),
        forced: Sequence[str] = (),
        workdir: str | None = None,
    ) -> None:
        """Read the main file.

        `main`, `roots` and `include_dirs` are as the user typed them, relative to `cwd`. `virtual` has files
        that are on no disk, as stdin, by path relative to `cwd`; they hide files of the disk. Without `disk`
        there are no others, as for what a server was sent.

        `on_look` is told of each path on the disk before it is looked at, be anything there or not: what the unit
        depends on. A directory whose names are read has a `/` at its end.

        `search`, `forced` and `workdir` are for the unit, all as typed: see `SourceUnit` and `unit`. Of `search` what
        is no directory is left out, as compilers do.

        Raises SourceError.
        """
        self.limits = limits or SizeLimits()
        self.typed = main
        self.cwd = os.path.normpath(cwd) if cwd else current_directory()
        self.notes: list[str] = []
        self._disk = disk
        self._on_look = on_look
        self._asked = f"check {main}"
        if not main:
            raise SourceError("check ''", "the name is empty", "name a file or a directory, or `-` for stdin")
        if has_control(main):
            raise SourceError(f"check {main!r}", "its name has a control character", "rename the file")
        self.main = self.absolute(main)
        self._virtual = {self.absolute(name): data for name, data in (virtual or {}).items()}
        self._held_bytes = 0
        self._seen: dict[str, tuple[bytes | None, str]] = {}
        self._sent: dict[str, bytes] = {}
        self._sent_bytes = 0
        self._directories: set[str] = set()
        self._real: dict[str, str] = {}
        self.include_dirs = tuple(self._include_dir(name) for name in include_dirs)
        self.search = tuple(
            (option, path)
            for option, path in ((option, self.absolute(name)) for option, name in search)
            if is_system(path) or self._is_there(path)
        )
        self.forced = tuple(map(self.absolute, forced))
        self._workdir = workdir and self.absolute(workdir)
        others = [path for _, path in self.search if not is_system(path)]
        self.search_dirs = (*self.include_dirs, *others)
        """Every directory where headers of the unit may be, the first to be looked at first."""
        given = (os.path.dirname(self.main), *map(self.absolute, roots), *self.search_dirs)
        given += tuple(map(os.path.dirname, self.forced))
        self._roots = tuple(dict.fromkeys(map(self._realpath, given))) if disk else ()
        self.content = self._read_main()
        """The bytes of the main file."""

    def absolute(self, name: str, directory: str | None = None) -> str:
        """What `name` in `directory` means: absolute, without `.` and `..`."""
        path = os.path.normpath(os.path.join(directory or self.cwd, name))
        # POSIX lets normpath keep two slashes at the start.
        return path[1:] if path.startswith("//") else path

    def shown(self, path: str) -> str:
        """An absolute path as the user would type it."""
        if below(path, self.cwd):
            return relative(path, self.cwd)
        return path if os.path.isabs(self.typed) else os.path.relpath(path, self.cwd)

    def read(self, path: str, wanted: str = "") -> bytes | None:
        """The content of a file; None where there is none to be had.

        `wanted` says who wants it, as `main.cpp:3 includes ../x.h`; with it, a note is kept of a file that
        exists and is not read. Raises SourceError where the file is too large.
        """
        data, obstacle = self._look(path)
        if data is None and obstacle and wanted:
            self.note(f"{wanted}, which {obstacle}")
        return data

    def send(self, path: str, wanted: str = "") -> bytes | None:
        """Read a file as `read` does, and make it part of the unit. Raises SourceError."""
        data = self.read(path, wanted)
        if data is not None:
            self.add(path, data)
        return data

    def add(self, path: str, data: bytes) -> None:
        """Make a file with this content part of the unit. Raises SourceError where the unit is too large."""
        self._sent_bytes += len(data) - len(self._sent.get(path, b""))
        self._sent[path] = data
        if self._sent_bytes > self.limits.unit_bytes:
            raise SourceError(
                self._asked,
                f"it and the files it needs have more than {sized(self.limits.unit_bytes)}",
                "leave out what it does not need, or raise the setting max-unit-size",
            )
        if len(self._sent) > MAX_FILES:
            raise SourceError(
                self._asked,
                f"it needs more than {MAX_FILES} files",
                "name a directory nearer to what it needs",
            )

    def room(self) -> int:
        """How many more bytes the unit may have."""
        return 0 if len(self._sent) >= MAX_FILES else self.limits.unit_bytes - self._sent_bytes

    def note(self, text: str) -> None:
        """Keep what a person should know when the unit is rejected."""
        if len(self.notes) < MAX_NOTES and text not in self.notes:
            self.notes.append(text)

    def mention(self, directory: str) -> None:
        """Let this directory exist in the job, though no file below it may be sent."""
        if self.is_dir(directory):
            self._directories.add(directory)

    def inside(self, path: str) -> bool:
        """Whether a file or directory may be read: its real path lies in one of the roots."""
        if path in self._virtual or not self._disk:
            return path in self._virtual
        real = self._realpath(path)
        return any(below(real, root) for root in self._roots)

    def exists(self, path: str) -> bool:
        """Whether anything is there but a directory, be it inside of the roots or not."""
        if path in self._seen or path in self._virtual:
            data, obstacle = self._look(path)
            return data is not None or bool(obstacle)
        self._looking(path)
        try:
            return self._disk and not S_ISDIR(os.stat(path).st_mode)
        except (OSError, ValueError):
            return False

    def size(self, path: str) -> int:
        """The bytes of a file; 0 where there is none."""
        if path in self._virtual:
            return len(self._virtual[path])
        try:
            return os.stat(path).st_size if self._disk else 0
        except OSError:
            return 0

    def is_dir(self, path: str) -> bool:
        """Whether a directory is there to be read."""
        if any(below(name, path) and name != path for name in self._virtual):
            return True
        self._looking(path)
        return self._disk and self.inside(path) and os.path.isdir(path)

    def names(self, directory: str) -> list[str]:
        """The names of the files in a directory, sorted, without those that are links to nowhere readable."""
        found = {os.path.basename(name) for name in self._virtual if os.path.dirname(name) == directory}
        self._looking(directory + "/")
        if self._disk and self.inside(directory):
            try:
                with os.scandir(directory) as entries:
                    found.update(entry.name for entry in entries if entry.is_file())
            except OSError:
                pass
        return sorted(name for name in found if not has_control(name))

    def directories(self, directory: str) -> list[str]:
        """The names of the directories in a directory, sorted, without links."""
        depth = len(directory.rstrip("/")) + 1
        found = {
            name[depth:].split("/", 1)[0] for name in self._virtual if below(name, directory) and "/" in name[depth:]
        }
        self._looking(directory + "/")
        if self._disk and self.inside(directory):
            try:
                with os.scandir(directory) as entries:
                    found.update(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            except OSError:
                pass
        return sorted(name for name in found if not has_control(name))

    def is_link(self, path: str) -> bool:
        return self._disk and path not in self._virtual and os.path.islink(path)

    def unit(self, language: str, main: Sequence[str] | None = None, workdir: str | None = None) -> SourceUnit:
        """Lay out what was sent, so that a compile prints paths as it would when run in `cwd`.

        `main` has what to name on the command line, the main file by default; `workdir` is where to compile,
        by default `cwd` where that lies above the main file or the user typed a relative path, else the
        common directory of all the files. Raises SourceError.
        """
        workdir = workdir or self._workdir
        if workdir is None and (below(self.main, self.cwd) or not os.path.isabs(self.typed)):
            workdir = self.cwd
        laid_out = {
            *map(os.path.dirname, self._sent),
            *self.search_dirs,
            workdir or os.path.dirname(self.main),
        }
        base = os.path.commonpath(laid_out)
        workdir = workdir or base
        files = {relative(path, base): data for path, data in self._sent.items()}
        for path in files:
            if has_control(path):
                raise SourceError(
                    self._asked,
                    f"{path!r} has a control character in its name",
                    "rename that file or directory",
                )
        parents = {"."}
        for path in files:
            while (path := os.path.dirname(path)) and path not in parents:
                parents.add(path)
        for directory in sorted({workdir, *self.search_dirs, *self._directories}):
            if below(directory, base) and (empty := relative(directory, base)) not in parents:
                files[empty + "/"] = b""
        return SourceUnit(
            source=self.typed,
            language=language,
            files=files,
            main=tuple(_argument(os.path.relpath(path, workdir)) for path in main or (self.main,)),
            workdir=relative(workdir, base),
            include_dirs=tuple(os.path.relpath(path, workdir) for path in self.include_dirs),
            search=tuple(
                (option, path if is_system(path) else os.path.relpath(path, workdir)) for option, path in self.search
            ),
            forced=tuple(os.path.relpath(path, workdir) for path in self.forced),
            notes=tuple(self.notes),
            prefix=self._prefix(workdir),
        )

    def _prefix(self, workdir: str) -> str:
        shown = self.shown(workdir)
        return "" if shown == "." else shown.rstrip("/") + "/"

    def _looking(self, path: str) -> None:
        if self._on_look and self._disk:
            self._on_look(path)

    def _realpath(self, path: str) -> str:
        real = self._real.get(path)
        if real is None:
            # Beside what is known already, it takes one look and not one for each directory above.
            directory, name = os.path.split(path)
            known = self._real.get(directory)
            near = os.path.join(known, name) if known and name else path
            real = self._real[path] = near if known and not os.path.islink(near) else os.path.realpath(near)
        return real

    def _is_there(self, directory: str) -> bool:
        self._looking(directory)
        return os.path.isdir(directory)

    def _include_dir(self, name: str) -> str:
        asked = f"look for headers in {quoted(name)}"
        if not name or has_control(name):
            raise SourceError(asked, "that is no name of a directory", "name a directory after -I")
        path = self.absolute(name)
        if any(below(virtual, path) for virtual in self._virtual):
            return path
        self._looking(path)
        try:
            is_dir = self._disk and S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            raise SourceError(
                asked, why(error, "there is no such directory"), "name an existing directory after -I"
            ) from None
        if not is_dir:
            obstacle = "it is not a directory" if self._disk else "there is no such directory"
            raise SourceError(asked, obstacle, "name the directory that has the headers after -I")
        return path

    def _read_main(self) -> bytes:
        data = self._virtual.get(self.main)
        if data is None:
            data = self._read_main_from_disk()
        elif len(data) > self.limits.file_bytes:
            raise self._too_large(self._asked)
        if b"\0" in data:
            raise SourceError(
                self._asked,
                "it is binary: it contains NUL bytes",
                "name a source file; one in UTF-16 can be made UTF-8: iconv -f UTF-16 -t UTF-8",
            )
        return data

    def _read_main_from_disk(self) -> bytes:
        if not self._disk:
            raise SourceError(self._asked, "there is no such file", "name one of the files that were sent")
        self._looking(self.main)
        try:
            state = os.stat(self.main)
        except OSError as error:
            remedy = f"chmod +r {self.typed}" if error.errno == 13 else "check the spelling of its path"
            raise SourceError(self._asked, why(error, "there is no such file"), remedy) from None
        if S_ISDIR(state.st_mode):
            raise SourceError(self._asked, "it is a directory", "name a file in it, or check the whole directory")
        if not S_ISREG(state.st_mode):
            raise SourceError(
                self._asked, "it is not a regular file", "name a regular file, or pipe the source in: check -"
            )
        if not self.inside(self.main):
            target = os.path.realpath(self.main)
            raise SourceError(
                self._asked,
                "it is a link that leaves the directories given",
                f"check the file that it points to: {self.shown(target)}",
            )
        data, obstacle = self._look(self.main)
        if data is None:
            remedy = f"chmod +r {self.typed}" if "permission" in obstacle else "try again"
            raise SourceError(self._asked, obstacle or "it vanished while it was read", remedy)
        return data

    def _look(self, path: str) -> tuple[bytes | None, str]:
        """The content of a file, or why a file that exists is not read; neither where there is none."""
        if path in self._virtual:
            return self._virtual[path], ""
        seen = self._seen.get(path)
        if seen is None:
            seen = self._open(path) if self._disk and not has_control(path) else (None, "")
            self._held_bytes += len(seen[0] or b"")
            # What is looked at and not sent may be much more than a unit may have: then it is read again.
            if self._held_bytes <= self.limits.unit_bytes:
                self._seen[path] = seen
        return seen

    def _open(self, path: str) -> tuple[bytes | None, str]:
        self._looking(path)
        directory, name = os.path.split(path)
        real = os.path.join(self._realpath(directory), name)
        try:
            mode = os.lstat(real).st_mode
            if S_ISLNK(mode):
                real = os.path.realpath(real)
                mode = os.stat(real).st_mode
        except OSError:
            return None, ""
        if not any(below(real, root) for root in self._roots):
            return None, "lies outside of the directories given" + self._how_to_send(os.path.dirname(real))
        if S_ISDIR(mode):
            return None, ""
        if not S_ISREG(mode):
            return None, "is not a regular file"
        try:
            data = read_regular(real, self.limits.file_bytes, self._roots)
        except OSError as error:
            return None, why(error, "")
        if data is not None and len(data) > self.limits.file_bytes:
            asked = self._asked if path == self.main else f"read {self.shown(path)} for {self.typed}"
            raise self._too_large(asked)
        return data, ""

    def _how_to_send(self, directory: str) -> str:
        """What to type, for what is near. Nobody is to be talked into sending /etc along."""
        near = below(directory, os.path.dirname(self.cwd)) and directory != "/"
        return f": add -I {os.path.relpath(directory, self.cwd)}" if near else ", and is not sent"

    def _too_large(self, asked: str) -> SourceError:
        return SourceError(
            asked,
            f"it has more than {sized(self.limits.file_bytes)}",
            "leave it out, or raise the setting max-file-size",
        )


def is_system(path: str) -> bool:
    """Whether a directory is one of `SYSTEM_DIRS`, or below it."""
    return any(below(path, directory) for directory in SYSTEM_DIRS)


def _argument(path: str) -> str:
    """A relative path that no compiler takes for an option or a file of options."""
    return "./" + path if path.startswith(("-", "@")) else path
