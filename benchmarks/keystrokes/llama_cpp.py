"""llama.cpp's server and its quantised weights, built on demand into the user's cache.

No dependency of anything: the sources come from the distribution of llama-cpp-python, which holds
them whole; CMake and Ninja come as wheels into an environment of their own. A C++ compiler has to
be there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

from falcon_lsp.core.paths import sha256_file
from falcon_lsp.model.files import ModelFiles

VERSION = "0.3.36"
SOURCE = f"llama_cpp_python-{VERSION}"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
KINDS = ("Q4_1", "Q8_0")
TARGETS = ("llama-server", "llama-quantize")
OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "GGML_NATIVE": "ON",
    "BUILD_SHARED_LIBS": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_COMMIT": "unknown",
}


class NotBuilt(Exception):
    """llama.cpp cannot be had here; the message says why."""


class LlamaCpp:
    """The folder where sources, programs and weights are kept."""

    def __init__(self, folder: Path, log: Path | None = None) -> None:
        self.folder = folder
        self._log = log or folder / "build.log"

    @property
    def server(self) -> Path:
        """The server's program."""
        return self._program("llama-server")

    def build(self) -> None:
        """Compile what is not there yet (10 minutes on two cores); raises `NotBuilt`."""
        if all(self._program(name).is_file() for name in TARGETS):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        print(f"Building llama.cpp in {self.folder} (10 minutes, once)", flush=True)
        try:
            self._compile(self._sources(), self._tools())
        except subprocess.CalledProcessError as error:
            raise NotBuilt(
                f"llama.cpp could not be built; the log is {self._log}. Install a C++ compiler, "
                "or leave it out with --no-peer."
            ) from error

    def weights(self, files: ModelFiles, kind: str) -> Path:
        """Return the merged weights of ``files`` quantised by llama.cpp as ``kind``."""
        name = f"{files.sha256[:16]}-{kind}.gguf"
        found = self.folder / name
        if not found.is_file():
            from keystrokes.gguf_file import write_gguf

            whole = self.folder / f"{files.sha256[:16]}-BF16.gguf"
            if not whole.is_file():
                write_gguf(files, whole)
            temporary = found.with_suffix(".tmp")
            self._run(self._program("llama-quantize"), whole, temporary, kind)
            temporary.replace(found)
        return found

    def _sources(self) -> Path:
        """Return llama.cpp's own folder, fetched and checked."""
        archive = self.folder / f"{SOURCE}.tar.gz"
        if not archive.is_file():
            pip = (sys.executable, "-m", "pip", "download", "--no-deps", "--no-input")
            requirement = SOURCE.replace("-", "==")
            self._run(*pip, "--no-binary", "llama-cpp-python", "--dest", self.folder, requirement)
        if sha256_file(archive) != SHA256:
            raise NotBuilt(f"{archive.name} is not what it was: delete it and try again.")
        folder = self.folder / SOURCE
        if not folder.is_dir():
            with tarfile.open(archive) as packed:
                packed.extractall(self.folder, filter="data")
        return folder / "vendor" / "llama.cpp"

    def _tools(self) -> Path:
        """Return the folder of CMake and Ninja, in an environment of their own."""
        folder = self.folder / "tools"
        programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
        if not (programs / _executable("ninja")).is_file():
            venv.create(folder, with_pip=True)
            self._run(programs / _executable("python"), "-m", "pip", "install", "cmake", "ninja")
        return programs

    def _compile(self, sources: Path, programs: Path) -> None:
        cmake, ninja = (programs / _executable(name) for name in ("cmake", "ninja"))
        options = [f"-D{name}={value}" for name, value in OPTIONS.items()]
        options += [f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        built = self.folder / "build"
        self._run(cmake, "-G", "Ninja", "-S", sources, "-B", built, *options)
        self._run(ninja, "-C", built, f"-j{os.cpu_count() or 1}", *TARGETS)
        programs_folder = self.folder / "programs"
        programs_folder.mkdir(exist_ok=True)
        for name in TARGETS:
            shutil.copy2(built / "bin" / _executable(name), programs_folder)

    def _program(self, name: str) -> Path:
        return self.folder / "programs" / _executable(name)

    def _run(self, *command: str | Path) -> None:
        with self._log.open("ab") as log:
            subprocess.run(list(map(str, command)), check=True, stdout=log, stderr=log)


def _executable(name: str) -> str:
    return f"{name}.exe" if sys.platform == "win32" else name
