"""The command line's face: help, versions, mistakes; and what it must not load."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from flowpool import __version__
from flowpool.cli import main
from flowpool.cli.app import COMMANDS, load_command

HEAVY = (
    "asyncio",
    "msgspec",
    "rich",
    "ssl",
    "flowpool.pool",
    "flowpool.cli.run_pipeline",
    "uvloop",
)


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running `code`."""
    probe = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_help_loads_no_command_and_no_engine() -> None:
    loaded = loaded_after("from flowpool.cli import main; main(['--help'])")
    assert loaded.isdisjoint({"flowpool.cli.run", *HEAVY})


def test_the_help_of_run_loads_no_engine() -> None:
    loaded = loaded_after("from flowpool.cli import main; main(['run', '--help'])")
    assert loaded.isdisjoint(HEAVY)


def test_no_command_loads_the_engine_before_it_is_called() -> None:
    code = "from flowpool.cli.app import COMMANDS, load_command\nfor name in COMMANDS: load_command(name)"
    # `sim` names the profiles in its help, which are msgspec's.
    assert loaded_after(code).isdisjoint({*HEAVY} - {"msgspec"})


def test_importing_the_command_line_loads_no_click() -> None:
    assert loaded_after("import flowpool.cli").isdisjoint({"click", *HEAVY})


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"flowpool {__version__}\n"


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out and words in out for name, words in COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = load_command(name)
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            sentence = (parameter.help or "").partition("[")[0].strip()
            assert sentence[:1].isupper(), parameter.name
            assert sentence.endswith((".", ":")), parameter.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_stands_in_brackets(name: str) -> None:
    command = load_command(name)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not (parameter.required or parameter.is_flag):
            assert (parameter.help or "").endswith("]"), parameter.name


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rnu"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("flowpool: ")
    assert "rnu" in err
    assert err.count("\n") == 1
    assert err.endswith("(see flowpool --help)\n")


def test_an_unknown_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "x.yaml", "--inptu", "y"]) == 2
    err = capsys.readouterr().err
    assert "--inptu" in err
    assert err.endswith("(see flowpool run --help)\n")
