"""What `make` installs, and the locks that say which versions: `python tools/packages.py install|newest|lock`.

Uses nothing but the standard library and pip, since it runs before anything is installed. uv does the work, at the
version that requirements/uv.txt pins; pip does where uv can't, from the same locks. Where packages come from is
pip's configuration of this machine, handed on to uv: no file of the project names a registry.
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
MAIN = PROJECT / ".venv"
OLDEST_PYTHON = "3.11"


@dataclass(frozen=True)
class Recipe:
    """What of pyproject.toml a lock holds.

    Packages of the lock `keeps_to` have the same version in both: the two are installed into one environment.
    """

    groups: tuple[str, ...]
    project: bool = True
    extras: tuple[str, ...] = ()
    keeps_to: str = ""

    def named(self) -> list[str]:
        return [word for group in self.groups for word in ("--group", group)]


RECIPES = {
    "uv": Recipe(("uv",), project=False),
    "demo": Recipe(("build",), extras=("pages",)),
    "dev": Recipe(("build", "dev"), extras=("documents", "excel", "urls"), keeps_to="demo"),
    "frameworks": Recipe(("build", "frameworks")),
    "browser": Recipe(("build", "browser")),
    "bench": Recipe(("bench",), project=False, keeps_to="dev"),
}

# pip's options, the variables by which uv takes the same, and what uv puts between several values.
FOR_UV = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("install", "install a lock's packages and the project"),
        ("newest", "install the newest of a lock's packages and the project"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("environment", type=Path, help="folder, made if it isn't there")
        command.add_argument("lock", choices=sorted(RECIPES))
    lock = commands.add_parser("lock", help="write the locks anew")
    lock.add_argument("--keep", action="store_true", help="keep the versions that still fit")
    asked = parser.parse_args()
    if asked.command == "lock":
        write_locks(keep=asked.keep)
    else:
        install(asked.environment, asked.lock, newest=asked.command == "newest")


def install(environment: Path, lock: str, *, newest: bool) -> None:
    uv = bootstrapped_uv()
    if not has_python(environment):
        venv.create(environment, symlinks=True)
    print(f"Installing {lock} into {environment} ...", flush=True)
    into = ["--python", python_of(environment)]
    for packages in wanted(lock, newest=newest):
        if uv and run([*uv, "install", *into, *packages]):
            continue
        if newest:
            sys.exit("uv couldn't, and without a lock pip needs longer than anybody waits.")
        print("uv couldn't: pip installs the same.", flush=True)
        check([*pip(*into), "install", *packages])


def wanted(lock: str, *, newest: bool) -> list[list[str]]:
    """The arguments of each `pip install` that fills an environment."""
    recipe = RECIPES[lock]
    project = str(PROJECT)
    if newest:
        extras = f"[{','.join(recipe.extras)}]" if recipe.extras else ""
        steps = [["--upgrade", *recipe.named(), *([project + extras] if recipe.project else [])]]
    else:
        steps = [["--require-hashes", "--requirement", f"requirements/{lock}.txt"]]
    if recipe.project:
        # What builds it is among the packages: nothing that isn't locked is downloaded for it.
        steps.append(["--no-deps", "--no-build-isolation", "--editable", project])
    return steps


def write_locks(*, keep: bool) -> None:
    uv = bootstrapped_uv()
    if not uv:
        sys.exit("uv can't be installed here, and pip writes no lock for every system and Python.")
    for lock, recipe in RECIPES.items():
        print(f"Locking {lock} ...", flush=True)
        command = [*uv, "compile", *recipe.named(), "--output-file", f"requirements/{lock}.txt"]
        command += ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"]
        command += ["--no-annotate", "--custom-compile-command", "make lock"]
        command += ["pyproject.toml"] if recipe.project else []
        command += [word for extra in recipe.extras for word in ("--extra", extra)]
        command += (
            ["--constraint", f"requirements/{recipe.keeps_to}.txt"] if recipe.keeps_to else []
        )
        command += [] if keep else ["--upgrade"]
        check(command)


def bootstrapped_uv() -> list[str]:
    """The command `uv pip`, installed into the main environment if it isn't there; empty where it can't be."""
    if not has_python(MAIN):
        venv.create(MAIN, symlinks=True, with_pip=True)
    uv = MAIN / "bin" / "uv"
    if not uv.exists():
        run([*pip(), "install", "--require-hashes", "--requirement", "requirements/uv.txt"])
    return [str(uv), "pip", "--quiet"] if uv.exists() else []


def pip(*options: str) -> list[str]:
    return [python_of(MAIN), "-m", "pip", "--quiet", "--disable-pip-version-check", *options]


def python_of(environment: Path) -> str:
    return str(environment.absolute() / "bin" / "python")


def has_python(environment: Path) -> bool:
    return Path(python_of(environment)).exists()


def run(command: list[str]) -> bool:
    """Whether `command` did what it should."""
    variables = configuration() | os.environ  # what is set for uv already stays
    return subprocess.run(command, cwd=PROJECT, env=variables).returncode == 0


def check(command: list[str]) -> None:
    if not run(command):
        sys.exit(1)


@cache
def configuration() -> dict[str, str]:
    """uv's variables for what pip is told on this machine."""
    listed = subprocess.run([*pip(), "config", "list"], capture_output=True, text=True)
    return as_uv_has_it(listed.stdout)


def as_uv_has_it(listed: str) -> dict[str, str]:
    """uv's variables for the lines `SECTION.NAME='VALUE'` of `pip config list`.

    A later section outdoes an earlier one: a file's [global], its [install], the variables (pip's `:env:`).
    """
    lines = [line.partition("=") for line in listed.splitlines()]
    found: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for key, _, value in lines:
            of, _, name = key.rpartition(".")
            if of == section and name in FOR_UV:
                variable, between = FOR_UV[name]
                found[variable] = between.join(ast.literal_eval(value).split())
    if "UV_INDEX" in found:
        # pip takes the best file of any index, uv those of the first that has the package. Hashes hold either way.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return found


if __name__ == "__main__":
    main()
