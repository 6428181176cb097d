"""The ``plstm-graph`` command. Imports are inside functions, so that ``--help`` answers at once."""

import argparse
import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from plstm_graph.text import visible

_EPILOG = """examples:
  plstm-graph fit --config configs/chembl.yaml
  plstm-graph fit --config configs/chembl.yaml --name small --training.lr 3e-4 --training.epochs 20
  plstm-graph fit --config configs/chembl.yaml                            # goes on after an interruption
  plstm-graph fit --config configs/ogb/molhiv.yaml --seeds 0-9          # OGB's molecules, as its rules ask
  plstm-graph blend runs/ogbg-molhiv-plstm                              # with forests on fingerprints
  plstm-graph test --ckpt_path runs/chembl/best.ckpt
  plstm-graph predict --ckpt_path runs/chembl/best.ckpt "CCO" more.csv --output predictions.csv
  plstm-graph embed --ckpt_path runs/chembl/best.ckpt more.csv --output vectors.npz
  plstm-graph explain --ckpt_path runs/chembl/best.ckpt "CCO" --output explain.png
  plstm-graph check my_dags                                             # a folder of DAGs: is it sound, what is in it?
  plstm-graph clean my_dags clean_dags --time_column year               # without cycles, self-loops, double rows
  plstm-graph fit --config configs/dag.yaml --task.path my_dags
  plstm-graph fit --config configs/tu/nci1.yaml --workers 2             # ten folds, the paper's protocol
  plstm-graph fit --config configs/arrows/cpu.yaml                      # arrow pointing, 192 to 384 pixels
  plstm-graph fit --config configs/dags/enas.yaml                       # models side by side on a task of DAGs

models and transforms of your own, in my_models.py of the working folder or installed:
  plstm-graph fit --config my.yaml --allow my_models       # without it, files name classes of these packages only
  plstm-graph predict --ckpt_path runs/my/checkpoints/best.ckpt "CCO" --allow my_models
"""
_TRACEBACK = "PLSTM_GRAPH_TRACEBACK"
_ALLOW = "--allow"
# Options of these come from classes that are slow to import, so they are left to parsers of their own.
_OWN_PARSERS = ("fit", "tune")


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM. What Ctrl-C stops in good order, this does too."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        args: Arguments. (default: those of the process)

    Returns:
        Exit status: 0; 1 if ``check`` finds a folder of DAGs wrong, ``predict`` could predict nothing, or something
        failed that should not; 2 for bad input, whose message goes to stderr; 130 after Ctrl-C, 143 after SIGTERM. With
        the environment variable ``PLSTM_GRAPH_TRACEBACK=1`` the exception itself is raised.
    """
    if args is None:
        ended: list[int] = []
        atexit.register(_leave, ended)  # before anything else is imported, so that it comes last
        ended.append(_main(sys.argv[1:]))
        return ended[0]
    return _main(args)


def _main(args: Sequence[str]) -> int:
    """Take the names that the user allows out of the arguments, and run the command with them."""
    arguments = list(args)
    if not any(argument.partition("=")[0] == _ALLOW for argument in arguments):
        return _run(arguments)
    from plstm_graph.config.names import allow_names, take_allowed

    try:
        rest, names = take_allowed(arguments)
    except ValueError as error:
        print(visible(f"plstm-graph: error: {error}"), file=sys.stderr)
        return 2
    # Last, so that what lies in the working folder hides nothing; and for nobody who allows nothing.
    sys.path.append(os.getcwd())
    try:
        with allow_names(names):
            return _run(rest)
    finally:
        sys.path.pop()


def _run(arguments: list[str]) -> int:
    # Large tensors on huge pages (Linux, read by torch at its first allocation): states of a million edges are walked
    # at random, where address translation otherwise takes as long as the arithmetic.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    options = _parser().parse_args(arguments[:1] if arguments and arguments[0] in _OWN_PARSERS else arguments)
    options.arguments = arguments[1:]
    try:
        with _terminable():
            if options.command in _OWN_PARSERS:
                from plstm_graph.config.files import check_config_files

                check_config_files(options.arguments)
            return options.run(options) or 0
    except KeyboardInterrupt as stop:
        if os.environ.get(_TRACEBACK):
            raise
        print(visible(f"plstm-graph {options.command}: stopped. {stop}".rstrip()), file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except (ValueError, OSError, FloatingPointError, ImportError, argparse.ArgumentError) as error:
        return _report(options.command, "error", error, 2)
    except Exception as error:
        return _report(options.command, f"failed with {type(error).__name__}", error, 1)


def _report(command: str, what: str, error: Exception, status: int) -> int:
    """Say on stderr what ended a command, and give its exit status."""
    if os.environ.get(_TRACEBACK):
        raise error
    text = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename}: {error.strerror}"  # without the number of the error
    message = f"plstm-graph {command}: {what}: {text}\n({_TRACEBACK}=1 shows where it arose)"
    print(visible(message), file=sys.stderr)
    return status


def _leave(ended: list[int]) -> None:
    """Leave the process without taking its modules apart, which takes as long as importing them."""
    if ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended[0])


@contextmanager
def _importing() -> Iterator[None]:
    """Look for no garbage meanwhile: modules leave none, and the search takes a fifth of the time of importing them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM raise :class:`Terminated`; a second one ends the process at once."""

    def terminate(number: int, frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may decide
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "plstm-graph",
        description="pLSTM on graphs: train on molecules, test, predict.",
        epilog=_EPILOG,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"plstm-graph {version('plstm_graph')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fit = commands.add_parser("fit", help="train a model and report test metrics beside baselines", add_help=False)
    fit.set_defaults(run=_fit)

    tune = commands.add_parser("tune", help="search for the best options of a model, on validation", add_help=False)
    tune.set_defaults(run=_tune)
    _add_blend(commands)

    check = commands.add_parser("check", help="validate and describe a folder of DAGs")
    check.set_defaults(run=_check)
    check.description = "Says what is wrong with a folder of DAGs, by file, line and graph, or what is in it."
    check.add_argument("folder", metavar="DIR", help="a folder with dag.yaml and tables or JSON lines")
    check.add_argument("--output", metavar="JSON", help="file to write the description to")

    _add_clean(commands)

    checkpoint = argparse.ArgumentParser(add_help=False)
    checkpoint.add_argument("--ckpt_path", required=True, help="checkpoint written by `plstm-graph fit`")
    checkpoint.add_argument("--output", help="file to write")
    checkpoint.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    checkpoint.add_argument(
        _ALLOW, metavar="NAME", help="a module of your own that the checkpoint may name, such as my_models; repeatable"
    )

    test = commands.add_parser("test", help="metrics of a checkpoint", parents=[checkpoint])
    test.set_defaults(run=_test)
    test.description = "Metrics of a checkpoint on a split of its data, or on another table. --output writes JSON."
    test.add_argument("--split", default="test", choices=("train", "valid", "test", "all"), help="(default: test)")
    test.add_argument("--data", metavar="CSV", help="another table with the same columns, all of it")

    predict = commands.add_parser("predict", help="predictions for molecules or a folder of DAGs", parents=[checkpoint])
    predict.set_defaults(run=_predict)
    predict.description = (
        "Predictions for SMILES and CSV files, or for a folder of DAGs, by what the model was trained on; as one CSV, "
        "to stdout or --output. A molecule that cannot be read keeps its row, with the reason in the column `error`."
    )
    _add_inputs(predict)
    predict.add_argument(
        "--coverage", type=float, default=0.9, help="part of measured values in intervals (default: %(default)s)"
    )

    _add_embed(commands, checkpoint)

    explain = commands.add_parser("explain", help="a picture of what a prediction comes from", parents=[checkpoint])
    explain.set_defaults(run=_explain)
    explain.description = (
        "Draws a molecule or a DAG with each node coloured by what it adds to a prediction (what is lost without its "
        "features), and lists the largest. --output is the picture (default: explain.png); of a DAG, an .html is a "
        "page for a browser, on which nodes tell what they are."
    )
    explain.add_argument("input", metavar="SMILES|DIR", help="a SMILES, or a folder of DAGs")
    explain.add_argument("--graph", metavar="ID", help="graph of the folder (default: the first)")
    explain.add_argument(
        "--item", nargs="+", metavar="NODE", help="the node, or start and end of the edge (default: the first)"
    )
    explain.add_argument("--target", help="target or class (default: the first target, or the most probable class)")

    info = commands.add_parser("info", help="versions, backends, devices, threads")
    info.set_defaults(run=_info)
    return parser


def _add_inputs(command: argparse.ArgumentParser) -> None:
    """What a trained model is given: molecules or a folder of DAGs, and how they are read."""
    command.add_argument(
        "inputs",
        nargs="+",
        metavar="SMILES|CSV|DIR",
        help="a SMILES, a table (.csv, .tsv, .smi; .gz); a folder of DAGs",
    )
    command.add_argument(
        "--smiles_column", help="its name or place in the files (default: as in training, else found by name or cells)"
    )
    command.add_argument(
        "--allow_unknown", action="store_true", help="take categories unknown to a model of DAGs for missing ones"
    )


def _add_embed(commands: argparse._SubParsersAction, checkpoint: argparse.ArgumentParser) -> None:
    embed = commands.add_parser("embed", help="vectors of molecules, DAGs or their nodes", parents=[checkpoint])
    embed.set_defaults(run=_embed)
    embed.description = (
        "Writes what a trained model makes of each graph, or of each of its nodes, before it predicts: vectors for "
        "clustering, search or other models. --output is a .csv or an .npz, arrays of numpy (default: CSV to "
        "stdout). Vectors of an ensemble are those of its members, one behind the other."
    )
    _add_inputs(embed)
    embed.add_argument(
        "--of", choices=("graphs", "nodes"), help="what has vectors (default: what the model predicts something of)"
    )
    embed.add_argument(
        "--layer",
        choices=("body", "head"),
        help="body: what enters the head, of a graph after pooling; head: the head's hidden layer (default: body)",
    )


def _add_clean(commands: argparse._SubParsersAction) -> None:
    clean = commands.add_parser("clean", help="copy a folder of DAGs without what makes it unsound")
    clean.set_defaults(run=_clean)
    clean.description = (
        "Copies a folder of DAGs to NEW, without rows that stand there twice, edges of unknown nodes, self-loops, "
        "edges against time, and the few edges that close cycles: those that lead back in an order of the nodes by "
        "Eades, Lin and Smyth. NEW passes `check`, and NEW/dropped.csv lists what was dropped. DIR stays as it is."
    )
    clean.add_argument("folder", metavar="DIR", help="a folder with dag.yaml and tables or JSON lines")
    clean.add_argument("new", metavar="NEW", help="the folder to write, which does not exist yet")
    clean.add_argument("--time_column", metavar="NAME", help="column of nodes.csv with numbers or dates, such as year")
    clean.add_argument(
        "--time_direction",
        choices=("later", "earlier"),
        help="whether edges lead to later nodes or to earlier ones (default: as most edges do)",
    )
    clean.add_argument(
        "--same_time",
        choices=("keep", "drop"),
        default="keep",
        help="edges between nodes of one time: keep those that close no cycle, or drop all (default: %(default)s)",
    )


def _add_blend(commands: argparse._SubParsersAction) -> None:
    blend = commands.add_parser("blend", help="average the networks of a run with random forests")
    blend.set_defaults(run=_blend)
    blend.description = (
        "Fits a random forest on fingerprints of molecules (of a folder of DAGs: on simple features) for each training "
        "of a finished run, and averages it with the network; validation picks the share of each. Writes blend.json "
        "and blend.md into the folder, and blend_predictions.csv of the test part beside each training."
    )
    blend.add_argument("folder", metavar="DIR", help="folder of the run")
    blend.add_argument("--trees", type=int, default=300, help="of each forest (default: %(default)s)")
    blend.add_argument(
        "--fingerprints",
        nargs="+",
        metavar="NAME,NAME",
        help="ecfp, fcfp, maccs, atom_pairs, torsions; those of a list stand side by side, and of several lists "
        "validation picks one (default: ecfp)",
    )
    blend.add_argument(
        "--max_features",
        nargs="+",
        type=lambda text: text if text == "sqrt" else float(text),
        metavar="sqrt|PART",
        help="features that are tried at each split, such as 0.2; of several, validation picks one (default: sqrt)",
    )
    blend.add_argument("--min_samples_leaf", type=int, default=2, help="samples in a leaf (default: %(default)s)")
    blend.add_argument(
        "--counts",
        action="store_true",
        help="fingerprints of how often each substructure occurs, not whether it does; for large molecules",
    )
    blend.add_argument("--jobs", type=int, default=-1, help="cores to grow trees on (default: all)")
    blend.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")


def _blend(options: argparse.Namespace) -> int:
    from plstm_graph.predict.blend import blend
    from plstm_graph.tasks.forest import Forest

    forest = Forest(options.trees, options.min_samples_leaf, jobs=options.jobs)
    more = options.counts, options.fingerprints, options.max_features
    return blend(options.folder, forest, options.device, *more)


def _check(options: argparse.Namespace) -> int:
    from plstm_graph.datasets.dag_folder.check import check

    return check(options.folder, options.output)


def _clean(options: argparse.Namespace) -> int:
    from plstm_graph.datasets.dag_folder.clean import clean
    from plstm_graph.datasets.dag_folder.cleaning import TimeRule

    if options.time_column is None and (options.time_direction or options.same_time == "drop"):
        raise ValueError("--time_direction and --same_time are about the times in a column: --time_column names it")
    time = TimeRule(options.time_column, options.time_direction, options.same_time) if options.time_column else None
    return clean(options.folder, options.new, time)


def _fit(options: argparse.Namespace) -> int:
    from plstm_graph.train.arguments import read_arguments

    given = read_arguments(options.arguments, "fit")  # what is wrong at first sight need not wait for the rest
    with _importing():
        from plstm_graph.machine import describe_machine
        from plstm_graph.train.command import run_command

    return run_command(options.arguments, describe_machine, given)


def _tune(options: argparse.Namespace) -> int:
    from plstm_graph.train.arguments import read_arguments

    given = read_arguments(options.arguments, "tune")
    with _importing():
        from plstm_graph.machine import describe_machine
        from plstm_graph.train.tune import run_tune

    return run_tune(options.arguments, describe_machine, given)


def _test(options: argparse.Namespace) -> None:
    with _importing():
        from plstm_graph.predict.command import test_checkpoint

    test_checkpoint(options.ckpt_path, options.split, options.data, options.output, options.device)


def _predict(options: argparse.Namespace) -> int:
    with _importing():
        from plstm_graph.predict.command import predict_inputs

    predicted = predict_inputs(
        options.ckpt_path,
        options.inputs,
        options.smiles_column,
        options.allow_unknown,
        options.output,
        options.device,
        options.coverage,
    )
    return 0 if predicted else 1


def _embed(options: argparse.Namespace) -> int:
    with _importing():
        from plstm_graph.predict.embed import embed_inputs

    found = embed_inputs(
        options.ckpt_path,
        options.inputs,
        options.of,
        options.layer,
        options.smiles_column,
        options.allow_unknown,
        options.output,
        options.device,
    )
    return 0 if found else 1


def _explain(options: argparse.Namespace) -> None:
    with _importing():
        from plstm_graph.predict.explain import Question, explain

    question = Question(options.graph, options.item, options.target)
    explain(options.ckpt_path, options.input, question, options.output or "explain.png", options.device)


def _info(options: argparse.Namespace) -> None:
    from plstm_graph.console import Console
    from plstm_graph.machine import print_info

    print_info(Console())


if __name__ == "__main__":
    sys.exit(main())
