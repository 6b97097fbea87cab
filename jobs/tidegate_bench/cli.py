"""`tidegate bench`: measure on made-up dumps, as jobs/tidegate_bench/README.md explains."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.options import DumpsOpt, JsonOpt, teller
from tidegate.common.errors import TidegateError
from tidegate.common.hours import parse_hour
from tidegate.config.settings import engine_named, load_settings

if TYPE_CHECKING:
    from tidegate_bench.report import Outcome

bench = typer.Typer(
    help="Measure on made-up dumps, or on real ones, in a folder and on servers of its own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add `tidegate bench` to the command line."""
    app.add_typer(bench, name="bench")


EventsOpt = Annotated[int, typer.Option(min=1, help="Events of an hour, about.")]
RunsOpt = Annotated[int, typer.Option(min=1, help="Runs of which the median is reported.")]
BlockOpt = Annotated[
    int, typer.Option(min=1, help="Hours published together where only history is made.")
]
EngineOpt = Annotated[
    str, typer.Option(metavar="ENGINE", help="What computes rows: duckdb or spark.")
]


@bench.command()
def history(
    after: Annotated[
        str, typer.Option(help="Numbers of hours published before, ascending.")
    ] = "10,100,1000",
    events: EventsOpt = 2000,
    runs: RunsOpt = 5,
    block: BlockOpt = 10,
    engine: EngineOpt = "duckdb",
    as_json: JsonOpt = False,
) -> None:
    """Measure an hour's run after 10, 100 and 1,000 published hours."""
    from tidegate_bench.history import history as scene

    lengths = _numbers(after)
    settings = load_settings(engine=engine)
    _show(
        scene(settings, teller(), lengths=lengths, events=events, runs=runs, block=block), as_json
    )


@bench.command()
def late(
    hours: Annotated[int, typer.Option(min=10, help="Hours published before.")] = 720,
    events: EventsOpt = 2000,
    runs: RunsOpt = 5,
    block: BlockOpt = 48,
    engine: EngineOpt = "duckdb",
    as_json: JsonOpt = False,
) -> None:
    """Measure an hour's run with one late event in a month of history, and without."""
    from tidegate_bench.late import late as scene

    settings = load_settings(engine=engine)
    _show(scene(settings, teller(), hours=hours, events=events, runs=runs, block=block), as_json)


@bench.command()
def hour(
    history: Annotated[int, typer.Option(min=1, help="Hours published before.")] = 168,
    history_events: Annotated[
        int, typer.Option(min=1, help="Events of each of those hours, about.")
    ] = 2000,
    events: EventsOpt = 100_000,
    runs: RunsOpt = 3,
    block: BlockOpt = 24,
    engine: EngineOpt = "spark",
    as_json: JsonOpt = False,
) -> None:
    """Measure an hour through Airflow on a stack of its own, and where its seconds go."""
    from tidegate_bench.hour import hour as scene

    found = scene(
        load_settings(engine=engine),
        teller(),
        history=history,
        history_events=history_events,
        events=events,
        runs=runs,
        block=block,
    )
    _show(found, as_json)


@bench.command()
def backfill(
    events: Annotated[int, typer.Option(min=24, help="Events of all dumps, about.")] = 2_000_000,
    visitors: Annotated[int, typer.Option(min=1, help="How many different ones.")] = 200_000,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance in made-up dumps.")] = 1,
    runs: RunsOpt = 3,
    peers: Annotated[
        str,
        typer.Option(
            help="Scripts to compare with, with commas between: names, or files of your own."
        ),
    ] = "duckdb,polars,pyspark",
    engines: Annotated[
        str, typer.Option(help="What computes rows for tidegate run, with commas between.")
    ] = "duckdb,spark",
    on: Annotated[
        str,
        typer.Option(
            help="Where tidegate run reads made-up dumps and writes the lake, with commas between. Scripts use a "
            "folder."
        ),
    ] = "folder,s3",
    through: Annotated[
        str,
        typer.Option(
            help="run, or airflow: a backfill through a warm Airflow with each engine too."
        ),
    ] = "run",
    source: Annotated[
        str | None,
        typer.Option(
            help="Measure its dumps in place of made-up ones: a name in dags/sources, or a source file."
        ),
    ] = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="HOUR", help="First dump hour of --source.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="HOUR", help="Last dump hour of --source.")
    ] = None,
    dumps: DumpsOpt = None,
    as_json: JsonOpt = False,
) -> None:
    """Measure 24 dumps from files to a release with each engine, beside scripts that do the same work."""
    from tidegate.config.source import find_source
    from tidegate_bench.backfill import PLACES, backfill_of
    from tidegate_bench.backfill import backfill as scene
    from tidegate_bench.scripts import PEERS

    chosen = [_script(PEERS, name) for name in _names(peers)]
    if len({Path(each).name for each in chosen}) < len(chosen):
        raise typer.BadParameter("--peers names two scripts alike")
    settings = load_settings(dumps=dumps)
    by_airflow = _one_of(("run", "airflow"), through) == "airflow"
    places = [_one_of(PLACES, name) for name in _names(on)]
    chosen_engines = [engine_named(name) for name in _names(engines)]
    if source is None:
        if first or last or dumps:
            raise typer.BadParameter("--from, --to and --dumps say which dumps of --source")
        found = scene(
            settings,
            teller(),
            events=events,
            visitors=visitors,
            seed=seed,
            runs=runs,
            peers=chosen,
            engines=chosen_engines,
            places=places,
            airflow=by_airflow,
        )
    else:
        if first is None or last is None:
            raise typer.BadParameter("--source needs --from and --to: the hours to measure")
        if by_airflow:
            raise typer.BadParameter("--through airflow is for made-up dumps")
        found = backfill_of(
            settings,
            teller(),
            source=find_source(source, settings.sources),
            first=parse_hour(first),
            last=parse_hour(last),
            runs=runs,
            peers=chosen,
            engines=chosen_engines,
        )
    _show(found, as_json)


@bench.command()
def live(
    hours: Annotated[int, typer.Option(min=1, help="Hours of the backfill.")] = 720,
    events: EventsOpt = 200,
    runs: RunsOpt = 3,
    engine: EngineOpt = "spark",
    as_json: JsonOpt = False,
) -> None:
    """Measure live hours beside a backfill of small hours through Airflow, and that backfill."""
    from tidegate_bench.live import live as scene

    settings = load_settings(engine=engine)
    _show(scene(settings, teller(), hours=hours, events=events, runs=runs), as_json)


@bench.command()
def scale(
    sizes: Annotated[
        str, typer.Option(help="Events of all dumps, about, with commas between.")
    ] = "1000000,2000000,4000000,8000000",
    executors: Annotated[
        str,
        typer.Option(help="Numbers of executors of a Spark cluster on loopback, such as 1,2."),
    ] = "",
    cluster_events: Annotated[
        int, typer.Option(min=24, help="Events that a cluster is given, about.")
    ] = 2_000_000,
    engine: EngineOpt = "duckdb",
    as_json: JsonOpt = False,
) -> None:
    """Measure 24 dumps by their size in one process, and on a Spark cluster by its executors: time and memory."""
    from tidegate_bench.scale import scale as scene

    found = scene(
        load_settings(engine=engine),
        teller(),
        sizes=_numbers(sizes),
        executors=_numbers(executors),
        cluster_events=cluster_events,
    )
    _show(found, as_json)


@bench.command()
def query(
    hours: Annotated[int, typer.Option(min=1, help="Hours published before.")] = 168,
    events: EventsOpt = 10_000,
    runs: RunsOpt = 5,
    block: BlockOpt = 24,
    engine: EngineOpt = "duckdb",
    as_json: JsonOpt = False,
) -> None:
    """Measure ten analysts' queries on published tables, beside DuckDB on plain Parquet."""
    from tidegate_bench.query import query as scene

    settings = load_settings(engine=engine)
    _show(scene(settings, teller(), hours=hours, events=events, runs=runs, block=block), as_json)


@bench.command()
def tiny(runs: RunsOpt = 3, engine: EngineOpt = "duckdb", as_json: JsonOpt = False) -> None:
    """Measure tidegate run on six lines in a local folder, the whole process."""
    from tidegate_bench.small import tiny as scene

    _show(scene(load_settings(engine=engine), teller(), runs=runs), as_json)


@bench.command()
def files(
    count: Annotated[int, typer.Option("--files", min=1, help="Files of the hour.")] = 3000,
    runs: RunsOpt = 3,
    engine: EngineOpt = "duckdb",
    as_json: JsonOpt = False,
) -> None:
    """Measure tidegate run on one hour of many files with one line each."""
    from tidegate_bench.small import files as scene

    _show(scene(load_settings(engine=engine), teller(), files=count, runs=runs), as_json)


@bench.command()
def plot(
    found: Annotated[
        list[Path],
        typer.Argument(help="Files with the output of a scene with --json.", exists=True),
    ],
) -> None:
    """Draw what scenes found: beside each file an SVG of its name; print the tables for the document of results."""
    from tidegate_bench.plot import svg
    from tidegate_bench.report import Outcome

    for file in found:
        try:
            told = json.loads(file.read_text())
        except ValueError as error:
            raise TidegateError("not JSON", where=str(file), got=str(error)) from error
        outcome = Outcome.of_json(told)
        file.with_suffix(".svg").write_text(svg(outcome))
        for line in outcome.markdown():
            typer.echo(line)
        typer.echo()


def _names(text: str) -> list[str]:
    """Return the names in a text with commas between, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _one_of(known: Sequence[str], name: str) -> str:
    if name not in known:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(known)}")
    return name


def _script(known: Sequence[str], name: str) -> str:
    """Return the name of a script or the path of a file."""
    if not name.endswith(".py"):
        return _one_of(known, name)
    file = Path(name).resolve()
    if not file.is_file():
        raise typer.BadParameter(f"there is no file {file}")
    return str(file)


def _numbers(text: str) -> list[int]:
    """Return numbers with commas between, ascending."""
    return sorted(_number(each) for each in text.split(",") if each.strip())


def _number(text: str) -> int:
    if not text.strip().isdigit() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is no number; such as: 10,100,1000")
    return int(text)


def _show(outcome: Outcome, as_json: bool) -> None:
    from tidegate_bench.report import machine

    if as_json:
        typer.echo(json.dumps({"machine": machine(), **outcome.as_json()}, indent=2))
    else:
        for line in outcome.lines():
            typer.echo(line)
