"""``plstm-graph predict``: by what the model was trained on, molecules or a folder of DAGs."""

from collections.abc import Sequence

from plstm_graph.predict.dags import predict_dags
from plstm_graph.predict.molecules import predict_smiles
from plstm_graph.predict.predictor import load_predictor
from plstm_graph.train.device import pick_device


def predict_inputs(
    ckpt_path: str,
    inputs: Sequence[str],
    smiles_column: str | None,
    allow_unknown: bool,
    output: str | None,
    device: str,
) -> int:
    """Write predictions as CSV, see :func:`predict_smiles` and :func:`predict_dags`.

    Args:
        ckpt_path: A checkpoint that ``plstm-graph fit`` wrote.
        inputs: SMILES, and CSV files with a column of SMILES; or one folder of DAGs.
        smiles_column: Name of that column. (default: as in training)
        allow_unknown: Of DAGs, whether categories that the model was not trained on are taken for missing ones.
        output: The CSV file to write. (default: stdout)
        device: ``"auto"`` or a device of torch.

    Returns:
        Number of rows with a prediction.

    Raises:
        FileNotFoundError: If a file or folder does not exist.
        ValueError: If input or checkpoint cannot be used.
    """
    predictor = load_predictor(ckpt_path).to(pick_device(device))
    data = predictor.recipe["data"]
    if data == "molecules":
        return predict_smiles(predictor, inputs, smiles_column, output)
    if data == "dag_folder":
        if len(inputs) != 1 or smiles_column is not None:
            raise ValueError(f"{ckpt_path} was trained on a folder of DAGs: it takes one such folder and no SMILES")
        return predict_dags(predictor, inputs[0], output, allow_unknown)
    raise ValueError(f"{ckpt_path} was trained on {data!r:.200}, for which there is no `predict`")
