"""What the documentation says is there, and what is there is documented."""

import argparse
import json
import re
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest
from tables import PAGES as GENERATED
from tables import with_tables

from consumer.cli import build_parser
from consumer.errors import Reason
from consumer.settings import Settings
from nlp.training.recipe import CorpusRecipe, Recipe, Variants, read_recipe
from schemas.messages import json_schema, record_id

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "consumer" / "README.md").read_text(encoding="utf-8")
PAGES = [path for path in ROOT.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]


def parsers(parser, name=""):
    """Yield every command's name and parser."""
    subcommands = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in subcommands:
        for word, inner in action.choices.items():
            yield from parsers(inner, f"{name} {word}".strip())
    if not subcommands:
        yield name, parser


ALL = dict(parsers(build_parser()))


@pytest.mark.parametrize("page", GENERATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_generated_tables_are_up_to_date(page):
    text = page.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run `python tests/support/tables.py`"


def test_the_readme_is_short():
    prose = re.sub(r"<!-- generated.*?<!-- end -->", "", README, flags=re.DOTALL)
    assert len(prose.split()) <= 700


@pytest.mark.parametrize("name", ALL)
def test_every_command_and_option_is_documented_and_has_help(name):
    assert f"`{name}`" in COMMANDS
    documented = set(re.findall(r"`(--[a-z-]+)`", COMMANDS))
    for action in ALL[name]._actions:
        assert action.help, f"{name} {action.dest} has no help"
        for option in action.option_strings:
            if option not in ("-h", "--help"):
                assert option in documented, f"{name} {option} is not in consumer/README.md"


def test_every_documented_option_exists():
    options = {option for parser in ALL.values() for action in parser._actions for option in action.option_strings}
    documented = set(re.findall(r"`(--[a-z-]+)`", COMMANDS + README))
    assert documented <= options


def test_every_option_names_its_default():
    for name, parser in ALL.items():
        takes_settings = any(action.dest == "config" for action in parser._actions)
        for action in parser._actions:
            setting = takes_settings and action.dest in Settings.model_fields  # some have to be given
            if action.option_strings and action.option_strings[0] != "-h" and not setting:
                assert "default" in action.help, f"{name} {action.option_strings[0]} names no default"


def test_every_name_of_a_recipe_is_documented_and_every_recipe_can_be_read():
    training = ROOT / "nlp" / "training"
    page = (training / "README.md").read_text(encoding="utf-8")
    for kind in (Recipe, CorpusRecipe, Variants):
        assert {field.name for field in fields(kind) if f"`{field.name}`" not in page} <= {
            "name",
            "corpora",
            "variants",
        }
    recipes = sorted((training / "recipes").glob("*.toml"))
    assert all(read_recipe(path).corpora for path in recipes)
    assert {path.name for path in recipes} == set(re.findall(r"\(recipes/([a-z]+\.toml)\)", page))


def test_every_reason_is_documented():
    assert set(re.findall(r"^\| `(\w+)` \|", COMMANDS, re.MULTILINE)) >= {reason.value for reason in Reason}


def test_every_log_event_is_documented():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "consumer").rglob("*.py"))
    events = set(re.findall(r"\blog\.(?:debug|info|warning|error)\(\s*\"(\w+)\"", code))
    assert {"stopped", "offsets_committed"} <= events
    assert {event for event in events if f"`{event}`" not in COMMANDS} == set()


def test_every_exit_status_is_documented():
    code = (ROOT / "consumer" / "errors.py").read_text(encoding="utf-8")
    listed = COMMANDS.split("## Exit statuses")[1]
    for status in re.findall(r"exit_status = (\d)", code):
        assert re.search(rf"(^|· ){status} ", listed, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_example_of_the_core_runs(capsys):
    page = (ROOT / "nlp" / "README.md").read_text(encoding="utf-8")
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.startswith("王小明 PER 0.99")


def test_the_reader_that_drops_doubles_drops_nothing_else():
    page, names = (ROOT / "schemas" / "README.md").read_text(encoding="utf-8"), {}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], names)  # noqa: S102 - our own page

    def is_new(partition, offset, timestamp=None, **part):
        source = {"topic": "in", "partition": partition, "offset": offset}
        name = record_id("in", partition, offset, timestamp)
        return names["is_new"]({"record_id": name, "source": source, **part})

    assert all(is_new(0, offset) for offset in (6, 5, 7)), "one that was refused at first comes later"
    assert not any(is_new(0, offset) for offset in (5, 6, 7))
    assert is_new(1, 6)
    assert is_new(1, 6, timestamp=1_700_000_000_000), "the topic was deleted and made again"
    assert is_new(0, 8, part=1, parts=2)
    assert is_new(0, 8, part=1, parts=3), "the set that is complete counts"
    names["KEPT"] = 3
    assert all(is_new(2, offset) for offset in range(100))
    assert len(names["seen"]["in", 2]) == 3


def test_the_example_message_obeys_the_schema():
    page = (ROOT / "schemas" / "README.md").read_text(encoding="utf-8")
    message = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])
    jsonschema.validate(message, json_schema())
    for entity in message["entities"]:
        assert message["text"][entity["start"] : entity["end"]] == entity["text"]
