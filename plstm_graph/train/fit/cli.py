"""The command line of ``plstm-graph fit``: its options, its checks, its run folder."""

import re
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import yaml
from jsonargparse.typing import PositiveInt
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from plstm_graph.config.names import HELP, KINDS, TRAINER_KINDS
from plstm_graph.config.parser import MODE, GuardedParser
from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import replace_text
from plstm_graph.datasets.storage.plain_values import load_yaml
from plstm_graph.train.checkpoint import SafeCheckpointIO, read_checkpoint
from plstm_graph.train.fit.callbacks import History, ReseedEachEpoch, ResumableEarlyStopping
from plstm_graph.train.fit.progress import TrainingProgress
from plstm_graph.train.fit.trainer_options import check_resumable, check_trainer
from plstm_graph.train.graph_data import GraphDataModule
from plstm_graph.train.inference import MOLECULES, check_fits, make_recipe
from plstm_graph.train.module import GraphModule
from plstm_graph.train.options import ThreadCount
from plstm_graph.train.run_folder import RunFolder, check_name

_DESCRIPTION = """Train a graph model on molecules or on a folder of DAGs, then report test metrics beside baselines.
Everything can stand in a YAML file (--config); options given after it override it. Results lie in RUNS_DIR/NAME."""

_TRAINER_DEFAULTS: dict[str, Any] = {
    "devices": 1,
    "max_epochs": 100,
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 10,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    # EpochBatchSampler splits the graphs over processes itself.
    "use_distributed_sampler": False,
}


_USAGE = """plstm-graph fit [--config FILE] [--name NAME] [--ckpt_path last] [--data.OPTION VALUE ...]
                       [--model.OPTION VALUE ...] [--trainer.OPTION VALUE ...]"""


class _FitParser(GuardedParser, LightningArgumentParser):
    """Lightning's parser with a help text without the hundreds of classes that happen to be imported."""

    kinds = (*KINDS, *TRAINER_KINDS)

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """The help text."""
        return re.sub(r",\s+known\s+subclasses:[^()]*\)", ")", super().format_help(*args, **kwargs))


class FitCLI(LightningCLI):
    """Lightning's command line with a run folder, and checks of data and model before anything is written.

    Args:
        args: Command-line arguments.
        stack: Releases the run folder when it is closed.
    """

    folder: RunFolder
    resume_from: Path | None

    def __init__(self, args: list[str], stack: ExitStack) -> None:
        self._stack = stack
        super().__init__(
            GraphModule,
            GraphDataModule,
            save_config_callback=None,
            parser_kwargs={
                "prog": "plstm-graph fit",
                "usage": _USAGE,
                "description": f"{_DESCRIPTION}\n{HELP}",
                "parser_mode": MODE,
            },
            parser_class=_FitParser,
            args=args,
            run=False,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of a run, ahead of those of classes."""
        parser.add_argument("--name", type=str, default="run", help="Name of the run and of its folder.")
        parser.add_argument("--runs_dir", type=str, default="runs", help="Folder of all runs.")
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help="'last', or a checkpoint to resume training from. (default: an interrupted run of the same name and "
            "configuration, if there is one)",
        )
        parser.add_argument(
            "--patience",
            type=PositiveInt,
            default=30,
            help="Stop after this many epochs without a better validation metric.",
        )
        parser.add_argument("--baselines", type=bool, default=True, help="Whether to fit the baselines for the report.")
        parser.add_argument(
            "--threads",
            type=ThreadCount | None,
            default=None,
            help="CPU threads of each process; for small molecules 1 is as fast as more. (default: torch's own choice)",
        )
        parser.add_argument(
            "--seed_everything", type=bool | int, default=0, help="Seed of weights and dropout; true draws one."
        )

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add data, model and trainer; Lightning's own order has the longest first."""
        parser.add_lightning_class_args(GraphDataModule, "data", subclass_mode=True, required=False)
        # A configuration without class_path is one of molecules.
        parser.set_defaults({"data": {"class_path": MOLECULES}})
        parser.add_lightning_class_args(GraphModule, "model")
        parser.link_arguments("data.problem", "model.problem", apply_on="instantiate")
        parser.add_lightning_class_args(pl.Trainer, "trainer")
        parser.set_defaults({f"trainer.{name}": value for name, value in _TRAINER_DEFAULTS.items()})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments; unlike Lightning's, without a warning when they do not come from ``sys.argv``."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Set the number of threads before anything is computed."""
        if self.config.threads is not None:
            torch.set_num_threads(self.config.threads)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Check data and model, choose the run folder, and make the trainer with its callbacks."""
        config = self.config
        check_name(config.name)
        check_trainer(dict(self.config_init.trainer))
        plain = load_yaml(self.parser.dump(config, skip_unset=False))
        self.datamodule.use_task(self.model.task)
        try:
            self.target_notes = self.model.prepare_for(self.datamodule)
        except (TypeError, RuntimeError, LookupError, AttributeError) as error:  # of somebody's model
            name = type(self.model.model).__name__
            raise ValueError(f"{name} cannot be run on these graphs: {type(error).__name__}: {error}") from error
        problem = self.datamodule.problem
        model = plain["model"] | ({} if problem is None else {"problem": asdict(problem)})
        data = plain["data"]
        module = self.datamodule
        self.model.recipe = make_recipe(
            model, data["init_args"], module.target_names, data["class_path"], module.reading
        )
        text = yaml.safe_dump({key: value for key, value in plain.items() if key != "ckpt_path"}, sort_keys=False)
        # An interrupted run does not go on with graphs that have changed: the name of their folder would have, too.
        text += f"# graphs: {Path(module.dataset.processed_dir).name}\n"
        self._choose_folder(text)
        self._write_config(text)
        self.history = History(self.folder.path / "metrics.csv")
        self.progress = TrainingProgress()
        monitor, mode = self.model.monitor
        trainer = self.config_init.trainer
        common: dict[str, Any] = {
            "dirpath": self.folder.checkpoints,
            "save_on_train_epoch_end": True,
            "enable_version_counter": False,
        }
        if trainer.enable_progress_bar is False:
            self.progress.disable()
        callbacks = [
            ReseedEachEpoch(int(config.seed_everything)),
            self.history,
            self.progress,
            # Not check_finite: an epoch without a value is not kept, which is no reason to stop.
            ResumableEarlyStopping(
                monitor, mode=mode, patience=int(config.patience), check_on_train_epoch_end=True, check_finite=False
            ),
            ModelCheckpoint(filename="best", monitor=monitor, mode=mode, **common),
            # Last of all, so that it holds the state of all others after the epoch.
            ModelCheckpoint(filename="last", **common),
        ]
        tensorboard = TensorBoardLogger(self.folder.path, name="", version="tensorboard")
        return super().instantiate_trainer(
            callbacks=[*_as_list(trainer.callbacks), *callbacks],
            logger=tensorboard if trainer.logger is None else trainer.logger,
            plugins=[*_as_list(trainer.plugins), SafeCheckpointIO()],
            default_root_dir=self.folder.path,
            enable_progress_bar=True,  # ours, which may be silent; Lightning's own stays away
        )

    @property
    def goes_on(self) -> bool:
        """Whether the same command goes on after an interruption, and need not be told to by ``--ckpt_path last``.

        Of several processes each would have to find the same folder, and only the first can claim it.
        """
        return str(self.config.trainer.devices) == "1" and self.config.trainer.num_nodes == 1

    def _choose_folder(self, configuration: str) -> None:
        """Find the checkpoint to resume from, and the folder: that of the checkpoint if it lies in one."""
        config, self.resume_from = self.config, _find_checkpoint(self.config)
        if self.resume_from is not None:
            self._check_resumed(self.resume_from)
        runs, is_first = Path(config.runs_dir), getattr(rank_zero_only, "rank", 0) == 0
        if self.resume_from is not None and self.resume_from.parent.name == "checkpoints":
            self.folder = RunFolder(self.resume_from.parent.parent)
            if is_first:
                self.folder.claim_or_raise()
        elif is_first:
            again = self.resume_from is None and self.goes_on
            self.folder = RunFolder.open(runs, config.name, configuration if again else None)
        else:
            # Only the first process writes, and Lightning tells the others where checkpoints lie.
            self.folder = RunFolder(runs / config.name)
        if is_first:
            self._stack.callback(self.folder.release)
        if self.resume_from is None and self.goes_on and self.folder.last.is_file():
            self.resume_from = self.folder.last
            self._check_resumed(self.resume_from)

    def _check_resumed(self, path: Path) -> None:
        """Check that a checkpoint is of this model, and that a training can go on from it."""
        checkpoint = read_checkpoint(path)
        check_fits(self.model, checkpoint, path)
        check_resumable(checkpoint, path)

    @rank_zero_only
    def _write_config(self, text: str) -> None:
        """Save the whole configuration; a resumed run keeps the first one and adds its own if it is another."""
        path = self.folder.configuration
        if path.exists():
            if path.read_text(encoding="utf-8") == text:
                return
            path = self.folder.path / "config_resumed.yaml"
            Console(stderr=True).say(f"The configuration differs from that of the resumed run; see {path}.")
        replace_text(path, text)


def _find_checkpoint(config: Any) -> Path | None:
    """The checkpoint to resume from."""
    if config.ckpt_path == "last":
        return RunFolder.latest(Path(config.runs_dir), config.name).last
    return None if config.ckpt_path is None else Path(config.ckpt_path)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
