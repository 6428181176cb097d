"""``plstm-graph predict`` for a folder of DAGs: one table, a row for each graph, node or edge."""

from collections.abc import Callable

from torch_geometric.data import Data

from plstm_graph.console import Console
from plstm_graph.datasets.dag_folder.encoding import Encoding, row_names
from plstm_graph.datasets.dag_folder.spec import Spec
from plstm_graph.datasets.dag_folder.unlabelled import Unlabelled, read_unlabelled
from plstm_graph.predict.predictor import Predictor, load_transform
from plstm_graph.report.predictions import prediction_columns, write_csv
from plstm_graph.train.checkpoint import CheckpointError
from plstm_graph.transforms import ToDAG


def predict_dags(predictor: Predictor, folder: str, output: str | None, allow_unknown: bool) -> int:
    """Write a prediction for every target of a folder, in order, as CSV.

    Columns are ``graph``, with ``node``, or ``source`` and ``target``, where nodes or edges are predicted;
    ``measured_<target>`` for targets that the folder has; and those of
    :func:`~plstm_graph.report.predictions.prediction_columns`.

    Args:
        predictor: Trained by ``plstm-graph fit`` on a folder of DAGs.
        folder: Of the same kind; targets and split are not needed.
        output: The CSV file to write. (default: stdout)
        allow_unknown: Whether categories that the model was not trained on are taken for missing ones.

    Returns:
        Number of rows with a prediction.

    Raises:
        FileNotFoundError: If there is no such folder.
        DAGFolderError: If anything is wrong with it; it lists everything that was found.
        ValueError: If a prediction is not finite.
    """
    content, encoding, transform = read_for(predictor, folder, allow_unknown)
    columns = row_names(content.graphs, encoding.level)
    columns |= {f"measured_{name}": cells for name, cells in content.measured.items()}
    predicted = predictor.predict([transform(graph) for graph in content.graphs])
    columns |= prediction_columns(predicted, predictor.kind, encoding.target_names, encoding.classes)
    write_csv(list(columns), zip(*columns.values(), strict=True), output)
    return len(predicted)


def read_for(
    predictor: Predictor, folder: str, allow_unknown: bool
) -> tuple[Unlabelled, Encoding, Callable[[Data], Data]]:
    """Read a folder as that of a model's training was read.

    Args:
        predictor: The model.
        folder: The folder.
        allow_unknown: Whether categories that the model was not trained on are taken for missing ones.

    Returns:
        The folder as it is, what its columns mean, and the transform that makes its graphs what the model takes.
    """
    reading = predictor.recipe["reading"]
    try:
        encoding, spec = Encoding.of_plain(reading["encoding"]), Spec.of_plain(reading["spec"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"the checkpoint does not say how its folders are read ({error!r:.200})") from error
    content = read_unlabelled(folder, spec, encoding, allow_unknown)
    for text in content.unseen:
        Console(stderr=True).say(text)
    return content, encoding, load_transform(predictor.recipe, ToDAG("keep"))
