"""Numbers of others, to stand beside ours; each with where it is from."""

PAPER = "pLSTM paper (arXiv 2506.11997)"

#: Test accuracy over ten folds, Table of TU sets in the paper.
TU = {
    "GAT": {"MUTAG": 0.7822, "NCI1": 0.7968, "PROTEINS": 0.7215, "PTC_FM": 0.6105},
    "GCN": {"MUTAG": 0.7234, "NCI1": 0.7852, "PROTEINS": 0.7395, "PTC_FM": 0.6162},
    "GIN": {"MUTAG": 0.8251, "NCI1": 0.8175, "PROTEINS": 0.7350, "PTC_FM": 0.6097},
    "LSTM-GNN": {"MUTAG": 0.7450, "NCI1": 0.7951, "PROTEINS": 0.7503, "PTC_FM": 0.6076},
    "MPNN": {"MUTAG": 0.7450, "NCI1": 0.8012, "PROTEINS": 0.7350, "PTC_FM": 0.5786},
    "pLSTM": {"MUTAG": 0.8512, "NCI1": 0.7324, "PROTEINS": 0.7502, "PTC_FM": 0.6133},
}

#: Test metric of benchmarks with an official split: method, value, source.
OFFICIAL = {
    "ogbg-molhiv": [
        ("GCN", "0.7606 ± 0.0097", "OGB's example"),
        ("GIN", "0.7558 ± 0.0140", "OGB's example"),
        ("GIN + virtual node", "0.7707 ± 0.0149", "OGB's example"),
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
