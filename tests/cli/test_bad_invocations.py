"""What newcomers and attackers give the commands: each gets exit status 2 and a message that names it."""

import pytest
import torch

from plstm_graph.cli import main
from plstm_graph.train.arguments import parse_numbers
from plstm_graph.train.choices import check_choices
from plstm_graph.train.training import Training
from tests.cli.conftest import BEST, TRIAL
from tests.processes import ROOT

pytestmark = pytest.mark.slow
_ALLOW = ("--allow", "tests")  # whose model the workspace is trained with
_STUDY = (
    "fit",
    "--task",
    "{name: tu, set: MUTAG}",
    "--models",
    "{gin: {class_path: plstm_graph.nn.baselines.GIN}}",
)
_FIT = ("fit", "--config", "config.yaml", "--name", "bad", "--baselines", "false", "--training.epochs", "1")
_LONG = "C" * 300
_FILES = {
    "sheet.xlsx": b"PK\x03\x04" + bytes(30),
    "molecules.sdf": b"\n  RDKit\n\n  0  0  0  0\nM  END\n$$$$\n",
    "table.parquet": b"PAR1",
    "comma.csv": b'smiles,activity\nCCO,"1,5"\nCCN,"-2,5"\n',
    "utf16.csv": "smiles,activity\nCCO,1\n".encode("utf-16"),
    "utf16le.csv": "smiles,activity\nCCO,1\n".encode("utf-16-le"),
    "latin.csv": "smiles,activity\nCCO,1\nCC,é\n".encode("latin-1"),
    "nul.csv": b"smiles,activity\nCC\0O,1\n",
    "sheet.csv": b"PK\x03\x04" + bytes(30),
    "packed.csv": b"\x1f\x8b\x08" + bytes(30),
    "empty.csv": b"",
    "blank.csv": b"\n\n",
    "header.csv": b"smiles,activity\n",
    "quote.csv": b'smiles,activity\n"CCO,1\nCC,2\n',
    "twice.csv": b"smiles,smiles\nCCO,CC\n",
    "plain.csv.gz": b"smiles\nCCO\n",
    "broken.yaml": b"name: a\ndata: [1\n",
    "list.yaml": b"- 1\n",
    "text.yaml": b"hello\n",
    "nothing.yaml": b"",
    "tab.yaml": b"a:\n\t- b\n",
    "binary.yaml": b"\xff\xfe\0",
    "latin.yaml": "name: é\n".encode("latin-1"),
    "endless.yaml": b"a: &a [*a]\n",
    "code.yaml": b"x: !!python/object/apply:os.system ['echo x > ran']\n",
}


@pytest.fixture(autouse=True)
def _in_workspace(workspace, fitted, monkeypatch):
    monkeypatch.chdir(workspace)
    for name, content in _FILES.items():
        (workspace / name).write_bytes(content)
    (workspace / "a_folder").mkdir(exist_ok=True)


def _message(capsys, *arguments):
    """What a command that must fail says."""
    try:
        status = main([*arguments, *_ALLOW])
    except SystemExit as exit:  # how argparse and jsonargparse leave
        status = exit.code
    shown = capsys.readouterr()
    assert status == 2, shown
    assert "Traceback" not in shown.err
    return shown.err


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("sheet.xlsx", "it is a spreadsheet; export it as CSV, or pandas.read_excel('sheet.xlsx').to_csv('sheet.csv'"),
        ("molecules.sdf", "it is an SDF; write it as CSV with a column of SMILES: from rdkit.Chem import PandasTools"),
        ("table.parquet", "it is a Parquet file; write it as CSV: pandas.read_parquet('table.parquet')"),
        ("utf16.csv", "utf16.csv is no table: it is UTF-16 text; save it as UTF-8"),
        ("utf16le.csv", "utf16le.csv is no table: line 1 has a NUL byte"),
        ("latin.csv", "latin.csv is not UTF-8 text (line 3): invalid continuation byte; save it as UTF-8"),
        ("nul.csv", "nul.csv is no table: line 2 has a NUL byte"),
        ("sheet.csv", "it is a zip archive, such as a spreadsheet; export the table as CSV"),
        ("packed.csv", "it is gzipped; its name must end in .gz"),
        ("empty.csv", "empty.csv is empty"),
        ("blank.csv", "blank.csv is empty"),
        ("header.csv", "header.csv has a header (smiles, activity) but no rows"),
        ("quote.csv", "quote.csv, line 2: a quotation mark opens a field that is never closed"),
        ("twice.csv", "twice.csv has more than one column named 'smiles'"),
        ("plain.csv.gz", "plain.csv.gz"),
        ("none.csv", "none.csv: No such file or directory"),
    ],
)
def test_tables(file, message, capsys):
    assert message in _message(capsys, "predict", "--ckpt_path", BEST, file)
    if file != "none.csv":
        assert message in _message(capsys, "test", "--ckpt_path", BEST, "--data", file)


def test_decimal_commas(capsys):
    assert "target 'activity' is '1,5', not a number; write a decimal point for the comma" in _message(
        capsys, "test", "--ckpt_path", BEST, "--data", "comma.csv"
    )


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("broken.yaml", "broken.yaml, line 3: no YAML: expected ',' or ']'"),
        ("list.yaml", "list.yaml must hold keys with values, found a list"),
        ("text.yaml", "text.yaml must hold keys with values, found 'hello'"),
        ("nothing.yaml", "nothing.yaml must hold keys with values, found nothing"),
        ("tab.yaml", "tab.yaml, line 2: no YAML: found character '\\t'"),
        ("binary.yaml", "binary.yaml is no configuration: it is UTF-16 text"),
        ("latin.yaml", "latin.yaml, line 1: not UTF-8 text"),
        ("endless.yaml", "endless.yaml: no YAML: its lists and mappings contain themselves"),
        ("code.yaml", "code.yaml, line 1: no YAML: could not determine a constructor"),
        ("table.csv", "table.csv must hold keys with values"),
        (BEST, f"{BEST} is no configuration: it is a zip archive"),
        ("a_folder", "the configuration 'a_folder' cannot be read: Is a directory"),
        ("none.yaml", "the configuration 'none.yaml' cannot be read: No such file"),
        (_LONG, "cannot be read: File name too long"),
        ("", "the configuration '' cannot be read"),
    ],
)
def test_configurations(file, message, capsys, workspace):
    assert message in _message(capsys, "fit", "--config", file)
    assert message in _message(capsys, "fit", f"--config={file}")
    assert not (workspace / "ran").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--trainer.enable_checkpointing", "false"), "trainer.enable_checkpointing is for the engine to decide"),
        (("--trainer.barebones", "true"), "trainer.barebones is for the engine to decide"),
        (("--trainer.accelerator", "gpu"), "these options of the trainer cannot be used here"),
        (("--trainer.accelerator", "toaster"), "these options of the trainer cannot be used here"),
        (("--trainer.devices", "0"), "these options of the trainer cannot be used here"),
        (("--trainer.devices", "-5"), "should be an int > 0"),
        (("--trainer.max_epochs", "0"), "trainer.max_epochs is for the engine to decide: training.epochs says how"),
        (("--training.epochs", "0"), "epochs, batch_size and members must be at least 1"),
        (("--training.epochs", "-1"), "got epochs=-1"),
        (("--trainer.max_steps", "0"), "training.epochs says how long"),
        (("--trainer.check_val_every_n_epoch", "5"), "each epoch is validated"),
        (("--trainer.limit_val_batches", "0"), "trainer.limit_val_batches is for the engine to decide"),
        (("--trainer.limit_train_batches", "0"), "trainer.limit_train_batches must be a positive number, got 0"),
        (("--trainer.accumulate_grad_batches", "0"), "trainer.accumulate_grad_batches must be a positive number"),
        (("--trainer.gradient_clip_val", "-1"), "training.clip is the largest norm"),
        (("--training.clip", "-1"), "lr and clip must be positive"),
        (("--trainer.strategy", "nope"), "invalid strategy name"),
        (("--trainer.profiler", "nope"), "`profiler`"),
        (("--trainer.acelerator", "cpu"), "there is no option trainer.acelerator (did you mean accelerator?)"),
        (
            ("--models", "{tiny: {class_path: torch.nn.Identity}}"),
            "tiny cannot be run on samples of table.csv: TypeError",
        ),
        (("--training.patience", "-1"), "patience must be at least 1"),
        (("--threads", "1000000"), "threads"),
        (("--seeds=-1",), "seeds must be numbers and ranges"),
        (("--task.path", "a_folder"), "a_folder: Is a directory"),
        (("--task.path", "sheet.xlsx"), "it is a spreadsheet; export it as CSV"),
        (("--task.path", "tabel.csv"), "tabel.csv: No such file or directory (did you mean table.csv?)"),
        (("--task.split", "scafold"), "split 'scafold' is none of scaffold, scaffold_balanced, random, "),
        (("--task.split", "scafold"), "(did you mean scaffold?)"),
        (("--folds", "100"), "100 folds need as many rows, and table.csv has 34"),
        (
            ("--task.smiles_column", "activity", "--task.target_columns", "smiles"),
            "table.csv, line 2: column 'activity' is '0.67', no SMILES, as are all cells below it; SMILES are in the "
            "column 'smiles': smiles_column: smiles",
        ),
        (("--task.target_columns", "smiles"), "'smiles' is the column of SMILES, and target_columns names it"),
        (
            ("--models", "{big: {class_path: plstm_graph.nn.PLSTM, init_args: {hidden_channels: 30}}}"),
            "big: hidden_channels (30) must be divisible by heads (4)",
        ),
        (("--task.path", _LONG), "File name too long"),
        (("--task.target_columns", "[]"), "there is no target; name at least one column in target_columns"),
        (("--task.target_columns", "[activity,activity]"), "target_columns has 'activity' more than once"),
    ],
)
def test_options_of_fit(options, message, capsys, workspace):
    assert message in _message(capsys, *_FIT, *options)
    assert not (workspace / "runs" / "bad").exists()


def test_a_training_cannot_go_on_from_a_model_alone(capsys, workspace):
    folder = workspace / "runs" / "alone"
    arguments = [*_FIT[:4], "alone", *_FIT[5:]]
    assert main([*arguments, *_ALLOW]) == 0
    trial = folder / "tiny" / "seed_0"
    (trial / "result.json").unlink()
    whole = torch.load(TRIAL + "/best.ckpt", weights_only=True)
    torch.save({name: whole[name] for name in ("state_dict", "plstm_graph")}, trial / "last.ckpt")
    message = _message(capsys, *arguments)
    last = "runs/alone/tiny/seed_0/last.ckpt"
    assert f"{last} holds a model, but not how far its training was" in message
    (trial / "last.ckpt").write_bytes((trial / "best.ckpt").read_bytes()[:2000])
    message = _message(capsys, *arguments)
    assert f"{last} is no file of tensors, or only a part of one" in message


def test_a_training_without_a_progress_bar(capsys, workspace):
    assert main([*_FIT[:4], "silent", *_FIT[5:], "--trainer.enable_progress_bar", "false", *_ALLOW]) == 0
    shown = capsys.readouterr()
    assert "epoch 1/1" not in shown.err
    assert (workspace / "runs" / "silent" / "report.json").exists()


def test_long_smiles_are_predicted(capsys):
    lengths = (255, 256, 300, 3000)
    assert main(["predict", "--ckpt_path", BEST, *("C" * length for length in lengths), "C1" * 200, *_ALLOW]) == 0
    shown = capsys.readouterr()
    rows = [line.split(",") for line in shown.out.splitlines()[1:]]
    assert [len(row[1]) for row in rows] == [*lengths, 400]
    assert all(float(row[2]) for row in rows[:4])
    assert rows[4][2] == ""
    assert "argument 5: invalid SMILES" in shown.err


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("none.csv", "none.csv"),
        ("empty.csv", "empty.csv is empty"),
        ("sheet.xlsx", "it is a spreadsheet"),
        ("a_folder", "a_folder"),
        ("utf16.csv", "UTF-16"),
    ],
)
def test_one_bad_input_does_not_lose_the_others(bad, message, capsys, workspace):
    assert message in _message(capsys, "predict", "--ckpt_path", BEST, "CCO", bad, "CCN", "--output", "others.csv")
    rows = [line.split(",") for line in (workspace / "others.csv").read_text().splitlines()]
    assert [row[0] for row in rows[1:]] == ["argument 1", bad, "argument 3"]
    assert [bool(row[2]) for row in rows[1:]] == [True, False, True]
    assert message in ",".join(rows[2])


def test_molecules_that_are_no_ascii(capsys, workspace):
    arguments = ("CCO", "\udcff", "日本", "C\x1b[31m")
    assert main(["predict", "--ckpt_path", BEST, *arguments, "--output", "odd.csv", *_ALLOW]) == 0
    shown = capsys.readouterr()
    assert "argument 2: invalid SMILES '\\udcff': it has characters that no SMILES has" in shown.err
    assert "argument 3: invalid SMILES '日本'" in shown.err
    assert "\x1b" not in shown.err
    rows = (workspace / "odd.csv").read_bytes().splitlines()
    assert [row.split(b",")[1] for row in rows[1:]] == [b"CCO", b"\xff", "日本".encode(), b"C\x1b[31m"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("predict", "--ckpt_path", BEST, "CCO", "--output", "a_folder"), "a_folder"),
        (("predict", "--ckpt_path", BEST, "CCO", "--output", "/proc/none/x.csv"), "/proc/none"),
        (("predict", "--ckpt_path", BEST, "CCO", "--device", "meta"), "device 'meta' cannot be used"),
        (("predict", "--ckpt_path", _LONG, "CCO"), "File name too long"),
        (("predict", "--ckpt_path", "", "CCO"), "no checkpoint at"),
        (("predict", "--ckpt_path", "a_folder", "CCO"), "no checkpoint at a_folder"),
        (("explain", "--ckpt_path", BEST, "C1CC"), "invalid SMILES 'C1CC'"),
        (("explain", "--ckpt_path", BEST, "日"), "invalid SMILES '日'"),
        (("test", "--ckpt_path", BEST, "--output", "a_folder"), "a_folder"),
        (("check", "table.csv"), "no folder table.csv"),
        (("check", _LONG), "File name too long"),
        (("check", ""), "has no dag.yaml"),
        (("blend", "none"), "none holds no finished run"),
        (("bench",), "invalid choice: 'bench'"),
        ((*_STUDY, "--folds", "3-1,5"), "folds '3-1,5': the range 3-1 runs backwards"),
        ((*_STUDY, "--training.lr", "-1"), "lr and clip must be positive"),
        ((*_STUDY, "--training.warmup_fraction", "2"), "warmup_fraction must be in [0, 1)"),
        ((*_STUDY, "--training.members", "0"), "members must be at least 1"),
        ((*_STUDY, "--task.set", "../x", "--task.source", "none"), "../x"),
        (("fit", "--nope"), "nope"),
        (("dags", "--config", "config.yaml"), "invalid choice: 'dags'"),
        (("fitt",), "invalid choice: 'fitt'"),
        ((), "COMMAND"),
    ],
)
def test_other_commands(command, message, capsys):
    assert message in _message(capsys, *command)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0-3", [0, 1, 2, 3]), ("5", [5]), ("7,0-1, 3 - 4 ", [0, 1, 3, 4, 7]), ("2,2,1-2", [1, 2]), ("09", [9])],
)
def test_numbers(text, numbers):
    assert parse_numbers(text, "folds", 10) == numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3-1,5", "the range 3-1 runs backwards; write 1-3"),
        ("10", "numbered from 0 to 9"),
        ("0-10", "numbered from 0 to 9"),
        ("0-1000000000", "numbered from 0 to 9"),
        ("9" * 5000, "such as 0-9"),
        *(
            (text, "such as 0-9 or 0,3,5-7, got")
            for text in ("", ",", "1,", "-1", "1-", "a", "1.5", "1 2", "0x1", "²", "1--2")
        ),
    ],
)
def test_what_are_no_numbers(text, message):
    with pytest.raises(ValueError, match=message):
        parse_numbers(text, "folds", 10)


def test_too_many_numbers():
    assert len(parse_numbers("0-9999", "seeds", 2**32)) == 10_000
    for text in ("0-1000000000", "0-10000", "0-9999,10000-10001"):
        with pytest.raises(ValueError, match="are more than 10,000"):
            parse_numbers(text, "seeds", 2**32)


@pytest.mark.parametrize("rates", [float("nan"), float("inf"), 0.0, -1.0, [], [1e-3, 1e-3], [1e-3, float("nan")]])
def test_learning_rates_that_are_none(rates):
    """Whether one is given or several to choose from."""
    with pytest.raises(ValueError, match=r"lr must be a list of different values|lr and clip must be positive"):
        for rate in check_choices({"training.lr": rates if isinstance(rates, list) else [rates]})["training.lr"]:
            Training(lr=rate)


def test_a_configuration_of_the_repository_is_found_for_whoever_looks_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert f"No such file or directory; it is {ROOT / 'configs/tu/mutag.yaml'}" in _message(
        capsys, "fit", "--config", "configs/tu/mutag.yaml"
    )
    assert "configurations lie in the folder configs of the repository" in _message(
        capsys, "fit", "--config=configs/tu/none.yaml"
    )
    assert "; " not in _message(capsys, "fit", "--config", "mutag.yaml")
