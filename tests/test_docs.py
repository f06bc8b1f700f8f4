"""What the documents say is what the program does."""

from __future__ import annotations

import asyncio
import re
import struct
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from robo_trader import config
from robo_trader.__main__ import app
from robo_trader.bootstrap import appointments, daemon, retraining, watch
from robo_trader.bootstrap.link_state import Phase
from robo_trader.config import Settings
from robo_trader.core import errors
from robo_trader.practice.faults.catalogue import make, read
from robo_trader.practice.gateway import PracticeGateway, PracticeOptions
from robo_trader.simulation.market import SyntheticMarket
from robo_trader.storage.schema import MIGRATIONS

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PRACTICE = ROOT / "docs" / "practice.md"
OPERATIONS = ROOT / "docs" / "operations.md"
# The last directory stands for itself only: models that a user trained may lie beside its README.
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md"), ROOT / "trained_models" / "README.md"]
)
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|.*\|$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# In a sentence or a table, or on a line of its own in a block.
COMMAND = re.compile(r"`robo-trader ([^`]*)`|^(?:\$ )?robo-trader (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r"python -m (robo_trader(?:\.\w+)*)")
ENVIRONMENT = re.compile(r"\b([A-Z]+_[A-Z0-9_]+)=")


def configuration_table() -> str:
    """Write README's table of settings as it should be."""
    rows = [
        f"| `{name.upper()}` | {_default(field.default)} | {field.description} |" for name, field in _fields()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows])


def commands(document: Path) -> list[str]:
    """Return every command line of robo-trader in a document, without the program."""
    return [inline or line for inline, line in COMMAND.findall(document.read_text())]


def blocks(document: Path, language: str) -> list[str]:
    """Return the code blocks of one language in a document."""
    return [text for of, text in BLOCK.findall(document.read_text()) if of == language]


def options_of_the_gateway() -> set[str]:
    """Return the options of `robo-trader practice run`, which its own parser knows."""
    told = CliRunner().invoke(app, ["practice", "run", "--help"])
    return set(re.findall(r"^  (?:-h, )?(--[a-z-]+)", told.stdout, re.MULTILINE))


async def python(*arguments: str) -> tuple[int | None, str]:
    """Run Python and return how it ended and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    return process.returncode, told.decode()


def _fields():
    return Settings.model_fields.items()


def _default(value: object) -> str:
    return f"`{value}`" if str(value) else ""


def _anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_example_environment_is_the_generated_one():
    assert (ROOT / ".env.example").read_text() == config.env_example(), (
        "write it again: robo-trader config --env-example > .env.example"
    )


def test_readme_lists_every_setting_and_nothing_else():
    table = configuration_table()
    assert table in README.read_text(), f"the configuration table of README.md should be:\n{table}"
    assert ROW.findall(README.read_text()) == [name.upper() for name, _ in _fields()]


def test_every_setting_named_in_a_document_exists():
    known = {name.upper() for name, _ in _fields()}
    named = {(path.name, name) for path in DOCUMENTS for name in ENVIRONMENT.findall(path.read_text())}
    assert [
        (path, name) for path, name in sorted(named) if name.startswith(config.PREFIXES) and name not in known
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_in_a_document_exists_with_its_options(document: Path):
    for words in commands(document):
        command, options = typer.main.get_command(app), words.split()
        while options and options[0] in getattr(command, "commands", {}):
            command = command.commands[options.pop(0)]
        assert not hasattr(command, "commands"), f"no such command: robo-trader {words}"
        known = {name for parameter in command.params for name in parameter.opts}
        if words.startswith("practice run"):
            known = options_of_the_gateway()
        unknown = [word for word in options if word.startswith("--") and word not in known]
        assert unknown == [], f"robo-trader {words}"


def test_every_command_of_the_program_is_in_readme():
    told = {tuple(word for word in words.split() if word[0].islower()) for words in commands(README)}
    for name, command in typer.main.get_command(app).commands.items():
        below = getattr(command, "commands", None)
        for full in [(name, sub) for sub in below] if below else [(name,)]:
            assert full in told, f"README.md does not tell of robo-trader {' '.join(full)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_a_document_runs_can_be_run(document: Path):
    for name in MODULE.findall(document.read_text()):
        path = ROOT.joinpath(*name.split("."))
        runnable = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        assert runnable.is_file(), name
        assert runnable.name == "__main__.py" or "__main__" in runnable.read_text(), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path):
    for target in LINK.findall(document.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        where = (document.parent / path).resolve() if path else document
        assert where.exists(), target
        assert not anchor or anchor in _anchors(where), target


def test_every_exit_code_is_documented():
    codes = {0} | {
        error.exit_code
        for error in vars(errors).values()
        if isinstance(error, type) and hasattr(error, "exit_code")
    }
    section = README.read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == codes


def test_the_picture_of_the_page_is_a_png_of_bearable_size():
    picture = (ROOT / "docs" / "page.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    assert width >= 1000
    assert height >= 600
    assert len(picture) < 250_000


def section(document: Path, heading: str) -> str:
    """Return what a document says under one of its headings."""
    return document.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_state_of_the_link_is_documented_in_its_order():
    assert re.findall(r"^\| (\w+) \|", section(OPERATIONS, "The link"), re.MULTILINE)[1:] == [*Phase]


def test_every_matter_of_an_alert_is_documented():
    told = re.findall(r"^\| `(\w+)` \|", section(OPERATIONS, "Alerts"), re.MULTILINE)
    source = "".join(
        Path(module.__file__).read_text() for module in (watch, daemon, appointments, retraining)
    )
    begun = set(re.findall(r'\.(?:begin|tell)\(\s*f?"(\w+)', source)) | set(
        re.findall(r'(?:key|doubt) = f"(\w+):', source)
    )
    assert {*told} == begun


def test_every_table_of_the_database_is_in_readme():
    files = section(README, "Files it writes")
    tables = re.findall(r"CREATE TABLE (\w+)", "".join(MIGRATIONS))
    assert [name for name in tables if name != "sessions" and name not in files] == []


def test_help_is_given_for_every_option():
    for name, command in typer.main.get_command(app).commands.items():
        for parameter in command.params:
            assert parameter.name == "help" or parameter.help, f"robo-trader {name} {parameter.opts}"
    assert CliRunner().invoke(app, ["run", "--help"]).exit_code == 0


def test_the_page_of_faults_is_the_generated_one():
    page = ROOT / "docs" / "practice-faults.md"
    told = CliRunner().invoke(app, ["practice", "faults", "--markdown"])
    assert page.read_text() == told.stdout, (
        "write it again: robo-trader practice faults --markdown > docs/practice-faults.md"
    )


def test_every_option_of_the_practice_gateway_is_documented():
    section = PRACTICE.read_text().partition("\n## Options")[2].partition("\n## ")[0]
    assert {*re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE), "--help"} == options_of_the_gateway()


@pytest.mark.parametrize("document", [README, PRACTICE], ids=lambda path: path.name)
def test_every_fault_that_a_document_plants_exists_with_its_parameters(document: Path, tmp_path: Path):
    for words in commands(document):
        if words.startswith("practice fault ") and "NAME" not in words:
            _, _, name, *given = words.split()
            make(name, dict(pair.split("=") for pair in given))
    for text in blocks(document, "toml"):
        (tmp_path / "faults.toml").write_text(text)
        assert read(tmp_path / "faults.toml")


@pytest.mark.parametrize("document", [README, PRACTICE], ids=lambda path: path.name)
async def test_the_first_example_of_a_document_trades(document: Path):
    gateway = PracticeGateway(PracticeOptions(speed=600), SyntheticMarket(seed=7, edge=1))
    script = blocks(document, "python")[0].replace("7497", str(await gateway.start()))
    try:
        assert (code_and_words := await python("-c", script))[0] == 0, code_and_words[1]
    finally:
        await gateway.stop()
    assert code_and_words[1].startswith("Filled ")


async def test_the_examples_of_tests_pass(tmp_path: Path):
    _, inside, outside = blocks(PRACTICE, "python")
    use = "\n\ndef test_it(port):\n    assert port > 0\n"
    (tmp_path / "test_inside.py").write_text(inside)
    (tmp_path / "test_outside.py").write_text(outside + use)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    code, told = await python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert (code, "3 passed" in told) == (0, True), told
