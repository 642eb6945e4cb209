"""MinkowskiEngine for the Python and the torch that run this: compiled for the CPU, kept, installed.

PyPI has its source only. That is fetched and checked, compiled against OpenBLAS (about five minutes on two
cores, up to 2 GB of memory each), and the wheel kept beside the sample volumes in the user's cache, in a
folder of its own for each torch, Python and machine; where it is kept already, it is just installed. Made
for Linux. The kit uses it as one of three backends of a sparse convolution, and works without it.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from pathlib import Path

import psutil
import torch
from filelock import FileLock

from studykit.data.files.archives import Archive, fetch
from studykit.home import data_dir, home

SOURCE = Archive(
    "MinkowskiEngine-0.5.4.tar.gz", "b1879c00d0b0b1d30ba622cce239886a7e3c78ee9da1064cdfe2f64c2ab15f94", 1
)
UNINSTALLS = 'run_command("pip", "uninstall", "MinkowskiEngine", "-y")\n'
"""A line of its setup.py: whichever pip comes first on the path would remove the engine it has."""

OPTIONS = ("--blas=openblas", "--cpu_only")
JOB_BYTES = 2 * 1024**3
PROBE = "#include <Python.h>\n#include <cblas.h>\nint main() { return !cblas_sdot; }\n"
HINT = """A C++ compiler and the headers of OpenBLAS and Python are needed. Install them and run this again:
  Debian, Ubuntu   apt-get install g++ libopenblas-dev python3-dev
  conda            conda install -c conda-forge cxx-compiler openblas, and activate the environment anew"""


def kept_in() -> Path:
    """Folder of the wheel: compiled code fits one version of torch, one of Python and one kind of machine."""
    key = f"torch-{torch.__version__}-{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    return data_dir() / "wheels" / key


def check_toolchain() -> None:
    """Compile and link a program of three lines with what the engine needs.

    Raises:
        SystemExit: that fails; the message has the compiler's words and what to install.
    """
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if shutil.which(compiler[0]) is None:
        raise SystemExit(f"There is no compiler {compiler[0]!r}.\n{HINT}")
    flags = shlex.split(f"{os.environ.get('CPPFLAGS', '')} {os.environ.get('LDFLAGS', '')}")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "probe.cpp")
        program.write_text(PROBE, encoding="utf-8")
        command = [*compiler, str(program), f"-I{sysconfig.get_path('include')}", *flags, "-lopenblas"]
        answer = subprocess.run([*command, "-o", f"{folder}/probe"], capture_output=True, text=True)
    if answer.returncode != 0:
        raise SystemExit(f"{answer.stderr.strip()}\n\n{HINT}")


def unpack(archive: Path, folder: Path) -> Path:
    """The source tree, with :data:`UNINSTALLS` taken out.

    Raises:
        ValueError: ``setup.py`` does not have that line.
    """
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    source = folder / archive.name.removesuffix(".tar.gz")
    setup = source / "setup.py"
    text = setup.read_text(encoding="utf-8")
    if UNINSTALLS not in text:
        raise ValueError(f"{archive}: setup.py does not have the line {UNINSTALLS!r}, which we take out")
    setup.write_text(text.replace(UNINSTALLS, ""), encoding="utf-8")
    return source


def pip(*arguments: str, **environment: str) -> None:
    """Run pip of this Python, whose own programs (ninja is one) come first on the path.

    Raises:
        SystemExit: pip failed, and has said why.
    """
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    answer = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments],
        env={**os.environ, "PATH": programs, **environment},
    )
    if answer.returncode != 0:
        raise SystemExit(f"`pip {arguments[0]}` failed, see above")


def build(folder: Path) -> None:
    """Compile the wheel into ``folder``."""
    check_toolchain()
    archive = fetch(SOURCE, data_dir() / "archives")
    pip("install", "--quiet", "--constraint", str(home() / "constraints.txt"), "setuptools", "ninja")
    fitting = max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available // JOB_BYTES))
    jobs = os.environ.get("MAX_JOBS", str(fitting))
    print(f"Compiling {SOURCE.filename} with {jobs} jobs: about five minutes with two", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source, wheels = unpack(archive, Path(scratch)), Path(scratch, "wheels")
        how = ["--use-pep517", "--no-build-isolation", "--no-deps", "--no-cache-dir", f"--wheel-dir={wheels}"]
        how += [f"--config-settings=--global-option={option}" for option in OPTIONS]
        # These replace the flags Python was compiled with; debug symbols would be 98 % of the library.
        flags = f"{os.environ.get('CFLAGS') or sysconfig.get_config_var('CFLAGS')} -g0"
        pip("wheel", *how, str(source), MAX_JOBS=jobs, CFLAGS=flags)
        (wheel,) = wheels.glob("*.whl")
        os.replace(wheel, folder / wheel.name)
    print(f"Compiled in {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    folder = kept_in()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not list(folder.glob("*.whl")):
            build(folder)
    (wheel,) = folder.glob("*.whl")
    pip("install", "--quiet", "--no-deps", "--force-reinstall", str(wheel))
    print(f"Installed {wheel}")


if __name__ == "__main__":
    main()
