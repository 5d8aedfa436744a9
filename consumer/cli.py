"""The command line: arguments in, one command run, an exit status out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from consumer import model_options as models
from consumer.arguments import natural, positive, share
from consumer.bench import options
from consumer.chaos.options import add_chaos
from consumer.dlq import options as dead_letters
from consumer.errors import RanerError, SettingsError
from consumer.settings import fields, flag, unit

# Read by the numeric libraries when they are imported. The head's products are tiny: threads would only cost memory.
_QUIET = {"OPENBLAS_NUM_THREADS": "1"}

_ROOMS = ("bench", "chaos", "dlq")  # groups of commands with a module of their own
_TORCH = ("torch-fp32", "torch-int8")  # for comparison: they read a RaNER checkpoint, and no worker runs them

Commands = Any  # argparse names no type for what add_subparsers returns


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status: 0 for success, 2 for wrong input, others as `consumer.errors` says."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed when the process began
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Whatever the locale says: the texts are Chinese. What cannot be written keeps its way to be shown.
            stream.reconfigure(encoding="utf-8", errors=stream.errors)
    sys.exit(_status(build_parser().parse_args(arguments)))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands. The documentation is tested against it."""
    parser = argparse.ArgumentParser(
        prog="raner-stream", description="Finds named entities in a Kafka stream of Chinese text, inside a memory cap."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('raner-stream')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(_command(commands, "demo", "run the main job on an embedded broker and show what comes out"))
    _add_settings(_command(commands, "run", "run a worker until SIGTERM"))
    _add_annotate(_command(commands, "annotate", "annotate a file or standard input, without Kafka"))
    _add_eval(_command(commands, "eval", "compare the model with gold files: exact span and type", run="evaluate"))
    _add_train(_command(commands, "train", "train a model: an encoder and labelled texts to a RaNER checkpoint"))
    model = commands.add_parser(
        "model", help="pull, convert, make, describe models", description="Pull, convert, make, describe models."
    )
    actions = model.add_subparsers(required=True, metavar="COMMAND")
    models.add_pull(_command(actions, "model pull", "make a serving directory from a RaNER model on ModelScope"))
    models.add_convert(_command(actions, "model convert", "make a serving directory from a RaNER checkpoint"))
    models.add_synth(_command(actions, "model synth", "make a RaNER checkpoint of random weights, to measure with"))
    models.add_average(
        _command(actions, "model average", "make a RaNER checkpoint of the mean weights of several models")
    )
    models.add_verify(_command(actions, "model verify", "compare a model's int8 with float32 on texts of your own"))
    models.add_info(_command(actions, "model info", "print what a serving directory holds, after checking it"))
    bench = commands.add_parser("bench", help="measure, and compare", description="Measure, and compare.")
    measures = bench.add_subparsers(required=True, metavar="COMMAND")
    options.add_note(_command(measures, "bench note", "rebuild the table of a published note, one technique a row"))
    options.add_engines(_command(measures, "bench engines", "compare the engines with each other and with the machine"))
    dlq = commands.add_parser("dlq", help="work on dead letters", description="Work on dead letters.")
    letters = dlq.add_subparsers(required=True, metavar="COMMAND")
    for name, text, add in (
        ("list_letters", "list dead letters, without their texts", dead_letters.add_list),
        ("show_letter", "print a dead letter whole", dead_letters.add_show),
        ("replay_letters", "send the records of dead letters to their input topic again", dead_letters.add_replay),
    ):
        action = _command(letters, f"dlq {name.partition('_')[0]}", text, run=name)
        add(action)
        _add_settings(action)
    add_chaos(_command(commands, "chaos", "kill, freeze and stop workers on your cluster, and count what is lost"))
    _add_settings(_command(commands, "check-config", "print what `run` would use, and exit 2 on an error"))
    _command(commands, "schema", "print the JSON Schema of the annotated message")
    return parser


def _status(parsed: argparse.Namespace) -> int:
    from consumer import console
    from nlp.errors import NlpError

    try:
        run: Callable[[argparse.Namespace], int] = getattr(import_module(parsed.room), parsed.command)
        status = run(parsed)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (RanerError, NlpError) as error:
        console.error(str(error))
        return error.exit_status if isinstance(error, RanerError) else SettingsError.exit_status
    except OSError as error:  # a full disk, a directory that may not be written
        console.error(str(error))
        return RanerError.exit_status
    except KeyboardInterrupt:
        return 130


def _command(commands: Commands, name: str, help: str, run: str | None = None) -> argparse.ArgumentParser:
    """Add a command, run by the function of its name, or by `run`, in `consumer.commands` or its group's module."""
    description = help[0].upper() + help[1:] + "."
    parser: argparse.ArgumentParser = commands.add_parser(name.rpartition(" ")[2], help=help, description=description)
    group = name.partition(" ")[0]
    room = f"consumer.commands.{group}" if group in _ROOMS else "consumer.commands"
    function = name.rpartition(" ")[2] if group in _ROOMS else name.replace(" ", "_")
    parser.set_defaults(room=room, command=run or function.replace("-", "_"))
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file of settings (default: RANER_CONFIG)")
    for name, field in fields():
        if name == "kafka":
            text = f"{field.description}; may be repeated"
            parser.add_argument(flag(name), action="append", metavar="NAME=VALUE", default=argparse.SUPPRESS, help=text)
        else:
            shown = unit(field).upper() or "VALUE"
            parser.add_argument(flag(name), metavar=shown, default=argparse.SUPPRESS, help=_help(field))


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--messages", type=positive, metavar="MESSAGES", help="repeat or cut the feed to so many (default: once)"
    )
    _add_model(parser)
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="what ends it: a table, or a JSON line (default: text)",
    )


def _add_annotate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="a text a line; - is standard input (default: -)"
    )
    parser.add_argument(
        "--input",
        choices=("auto", "text", "jsonl"),
        default="auto",
        help="a text a line, or a JSON object a line; auto looks at the first line (default: auto)",
    )
    parser.add_argument(
        "--format",
        choices=("jsonl", "table", "text"),
        help="JSON lines, a table of entities, or marked text (default: text on a terminal, else jsonl)",
    )
    parser.add_argument(
        "--text-fields", default="text", metavar="NAMES", help="fields of a JSON object to annotate (default: text)"
    )
    _add_model(parser)
    _add_reading(parser)


def _add_eval(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="gold: JSON lines, or CoNLL with BIO, BMES or BIOES"
    )
    for name, whose in (("--map", "gold"), ("--map-predicted", "predicted")):
        parser.add_argument(
            name,
            action="append",
            default=[],
            metavar="FROM=TO",
            help=f"rename a {whose} type; may be repeated (default: none)",
        )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="what to print (default: table)")
    parser.add_argument("--by-length", action="store_true", help="add the F1 of shorter and longer texts (default: no)")
    parser.add_argument(
        "--calibration", action="store_true", help="compare scores with the share that is right (default: no)"
    )
    _add_model(parser)
    _add_reading(parser)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, metavar="CONFIG", help="TOML file of the run")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="default",
        metavar="DIRECTORY",
        help="serving directory, or a packaged model: default, tiny (default: default)",
    )


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the options of the core that `run` has as settings, and the engines that only commands may use."""
    for name, field in fields():
        text = _help(field)
        if name in ("engine", "decode"):
            choices = (*get_args(field.annotation), *(_TORCH if name == "engine" else ()))
            parser.add_argument(flag(name), choices=choices, default=field.default, help=text)
        elif name in ("min_score", "threads", "window", "overlap", "batch_tokens"):
            kind = share if name == "min_score" else natural
            parser.add_argument(flag(name), type=kind, default=field.default, metavar=unit(field).upper(), help=text)


def _help(field: FieldInfo) -> str:
    """Return a setting's help, with its default where that is a value."""
    if field.is_required() or field.default_factory or field.default is None:
        return str(field.description).replace("%", "%%")
    default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
    return f"{field.description} (default: {default})".replace("%", "%%")
