"""What `minivae train` was asked for: its options, over the settings in --config's file."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, Self

from minivae.cli.options import (
    UsageError,
    parse_c,
    parse_lengths,
    parse_settings,
    parse_sizes,
    parse_steps,
    suggestion,
)
from minivae.data.reading import Reading
from minivae.messages import shown
from minivae.models.config import ModelConfig
from minivae.parts import LIKELIHOODS
from minivae.runs.config import TrainConfig
from minivae.runs.errors import describe_os_error
from minivae.runs.files import MOST_OF_TEXT
from minivae.runs.strict_json import JsonFault, parse
from minivae.settings import ConfigError

MODEL_KEYS = tuple(f.name for f in fields(ModelConfig) if f.name != "data_dim")
PLACE_KEYS = ("dataset", "data_dir", "out")
TRAIN_KEYS = tuple(f.name for f in fields(TrainConfig) if f.name not in PLACE_KEYS)
# The command line's words for keys whose names differ.
ALIASES = {"latent": "latent_dim"}
# What a file's values must be where no record of settings says it.
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys((*PLACE_KEYS, "backend", "label"), ((str,), "text")),
    **dict.fromkeys(("standardise", "one_hot"), ((bool,), "true or false")),
    **dict.fromkeys(("shape", "resize"), ((str, list), "a list of lengths")),
}
NO_SETTINGS = (  # of the command alone
    "config",
    "data",
    "parts",
    "resume",
    "pictures",
    "rank_timeout",
    "as_json",
    "quiet",
)
READING_KEYS = ("label", "standardise", "shape", "resize", "one_hot")  # how the data are read
RECORDED = "reading"  # how the run read them whose config.json the file is
# A run's config.json has these parts too; nothing else is read from them.
OTHER_PARTS = ("data", "versions", "environments", "sha256")


class TrainOptions(NamedTuple):
    """What was asked for: the options that were given over those in --config's file."""

    settings: dict[str, Any]  # the model's and the training's, by their own names
    dataset: str | None
    data: str | None
    data_dir: Path | None
    out: Path | None
    resume: Path | None
    backend: str | None
    pictures: bool
    reading: Reading
    config: Path | None = None  # the file, and the settings that stand in it and in no option
    from_file: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """From the command's arguments by name. Raises UsageError where one cannot be."""
        config = given["config"]
        asked = {} if config is None else read_config_file(config)
        options = parse_options({k: v for k, v in given.items() if k not in NO_SETTINGS})
        asked = handed_on(asked.pop(RECORDED, {}), given, asked.get("dataset")) | asked
        from_file = tuple(key for key in asked if key not in options)
        asked |= options
        with file_named(config, from_file):
            reading = read_options({key: asked.pop(key, None) for key in READING_KEYS})
        if given["resume"] is not None and reading.to_dict():
            option = next(iter(reading.to_dict())).replace("_", "-")
            raise UsageError(
                f"--{option}: a run goes on with the data as it read them; leave it out"
            )
        places = {key: asked.pop(key, None) for key in (*PLACE_KEYS, "backend")}
        out, data, dataset = places["out"], given["data"], places["dataset"]
        if data is not None and given["resume"] is None:  # a new run's data, by either name
            if given["dataset"] is not None:
                raise UsageError(f"{given['dataset']} and --data {data}: give one data set")
            data, dataset = None, data
        return cls(
            settings=asked,
            dataset=dataset,
            data=data,
            data_dir=places["data_dir"],
            out=None if out is None else Path(out),
            resume=given["resume"],
            backend=places["backend"],
            pictures=given["pictures"],
            reading=reading,
            config=config,
            from_file=from_file,
        )


def handed_on(
    recorded: Mapping[str, Any], given: Mapping[str, Any], own: str | None
) -> dict[str, Any]:
    """How a run read its data, from its own config.json, as far as it tells how to read these.

    A run that is resumed knows it; of other data than its `own` that have a name it says nothing.
    """
    from minivae.data.registry import known_name

    name = known_name(str(given["data"] or given["dataset"] or ""))
    other = name is not None and name != known_name(own or "")
    return {} if other or given["resume"] is not None else dict(recorded)


@contextmanager
def file_named(config: Path | None, keys: Collection[str]) -> Iterator[None]:
    """Name --config's file where a fault begins with a setting that stands in it."""
    try:
        yield
    except (ConfigError, UsageError) as fault:
        first = re.match(r"(?:--)?([\w-]+)", str(fault))
        if config is None or first is None or first[1].replace("-", "_") not in keys:
            raise
        raise type(fault)(f"--config {config}: {fault}") from None


def read_config_file(path: Path) -> dict[str, Any]:
    """The settings in a JSON file: flat, or in the parts "model" and "train" as a run's own.

    Raises UsageError for a file that is missing or no JSON object, or holds an unknown key.
    """
    try:
        with open(path, "rb") as file:  # a pipe will do: --config <(…)
            values = parse(file.read(MOST_OF_TEXT))
    except OSError as fault:
        raise UsageError(f"--config {path}: cannot be read ({describe_os_error(fault)})") from None
    except JsonFault as fault:
        raise UsageError(f"--config {path}: no valid JSON ({fault})") from None
    if not isinstance(values, dict):
        raise UsageError(f"--config {path}: must hold an object {{...}} of settings")
    flat = flatten(values, path)
    name = flat.get("likelihood")
    scaled = name not in LIKELIHOODS or LIKELIHOODS[str(name)].scale is not None
    if not scaled and flat.get("c") == 1.0:
        del flat["c"]  # it stands in the settings of every run, and says nothing here
    return flat


def flatten(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The settings by their own names, each known."""
    known = (*MODEL_KEYS, *TRAIN_KEYS, *ALIASES, *PLACE_KEYS, *READING_KEYS)
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = ALIASES.get(key.replace("-", "_"), key.replace("-", "_"))
        if key in ("model", "train") and isinstance(value, dict):
            flat |= flatten({k: v for k, v in value.items() if k != "data_dim"}, path)
        elif name in known:
            flat[name] = value
        elif key == "data" and isinstance(value, dict):
            reading, standard = value.get("reading"), {"standardise": bool(value.get("standard"))}
            flat[RECORDED] = flatten({**(reading or {}), **standard}, path)
        elif key not in OTHER_PARTS:
            raise UsageError(f"--config {path}: unknown key {shown(key)}{suggestion(key, known)}")
    for name, (types, what) in KINDS.items():
        if not isinstance(flat.get(name), (*types, type(None))):
            raise UsageError(f"--config {path}: {name} = {shown(flat[name])}: must be {what}")
    if isinstance(flat.get("hidden"), str):
        flat["hidden"] = parse_sizes(flat["hidden"])
    if isinstance(flat.get("hidden"), list):
        flat["hidden"] = tuple(flat["hidden"])
    return flat


def read_options(given: Mapping[str, Any]) -> Reading:
    """How the data are to be read, from the options or the file's values; UsageError where not."""

    def lengths(key: str, example: str) -> tuple[int, ...] | None:
        value = given[key]
        if isinstance(value, list):
            value = ",".join(str(n) for n in value)
        return parse_lengths(f"--{key}", value, example)

    size = lengths("resize", "32x32")
    if size is not None and len(size) != 2:
        raise UsageError(f"--resize {given['resize']}: write it like --resize 32x32")
    return Reading(
        label=None if given["label"] is None else str(given["label"]),
        shape=lengths("shape", "24,32,3"),
        resize=None if size is None else (size[0], size[1]),
        one_hot=bool(given["one_hot"]),
        standardise=bool(given["standardise"]),
    )


def parse_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, by the settings' names."""
    given = {
        ALIASES.get(key, key): value
        for key, value in options.items()
        if value is not None and not (key in READING_KEYS and value is False)
    }
    if "hidden" in given:
        given["hidden"] = parse_sizes(given["hidden"])
    if "c" in given:
        given["c"] = parse_c(given["c"])
    if "lr_steps" in given:
        given["lr_steps"] = parse_steps(given["lr_steps"])
    if "optimiser_settings" in given:
        given["optimiser_settings"] = parse_settings(given["optimiser_settings"])
    return given
