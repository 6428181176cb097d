"""Numbers of others, to stand beside ours; each with where it is from."""

from plstm_graph.tasks.tu import PAPER as BY_SET

PAPER = "pLSTM paper (arXiv 2506.11997)"

#: Test accuracy over ten folds, by model and set, from the paper's table of TU sets.
TU = {model: {name: row[model] for name, row in BY_SET.items()} for model in BY_SET["MUTAG"]}

#: Test metric of benchmarks with an official split: method, value, source.
OFFICIAL = {
    "ogbg-molhiv": [
        ("GCN", "0.7606 ± 0.0097", "OGB's example, on its leaderboard"),
        ("GIN", "0.7558 ± 0.0140", "OGB's example, on its leaderboard"),
        ("GIN + virtual node", "0.7707 ± 0.0149", "OGB's example, on its leaderboard"),
        ("random forest on fingerprints", "0.806 ± 0.001", "github.com/cyrusmaher/ogb-molecule-comp"),
        ("GIN of 32,385 parameters", "0.7835 ± 0.0125", "github.com/willy-b/tiny-GIN-for-ogbg-molhiv"),
        ("CIN", "0.8094 ± 0.0057", "OGB's leaderboard"),
    ],
    "Peptides-func": [
        ("GAT", "0.525", PAPER),
        ("GCN", "0.534", PAPER),
        ("GIN", "0.593", PAPER),
        ("LSTM-GNN", "0.502", PAPER),
        ("MPNN", "0.557", PAPER),
        ("pLSTM", "0.536", PAPER),
        ("GCN, tuned", "0.7261", "GNN+ (arXiv 2502.09263)"),
    ],
    "Peptides-struct": [
        ("GAT", "0.270", PAPER),
        ("GCN", "0.264", PAPER),
        ("GIN", "0.328", PAPER),
        ("LSTM-GNN", "0.274", PAPER),
        ("MPNN", "0.260", PAPER),
        ("pLSTM", "0.264", PAPER),
        ("GCN, tuned", "0.2421", "GNN+ (arXiv 2502.09263)"),
    ],
}
