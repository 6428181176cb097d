"""Scientific workflows by recipes of real traces: tasks, what they wait for, how long they run, what they read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch_geometric.data import Data

from plstm_graph.datasets.storage.graph_cache import CachedGraphs, GraphCache
from plstm_graph.datasets.storage.tensor_files import PlainGraphs
from plstm_graph.datasets.workflows.recipes import APPLICATIONS, Recipe

# Part of the cache key; raise it when what is stored changes.
_FORMAT = 1

#: Categories of tasks of all applications; a task's category is its place here. ``cat`` is one of two of them.
CATEGORIES: tuple[str, ...] = tuple(
    """add_replace alignment_to_reference baseline_cycles blastall bowtie2 bowtie2-build bwa bwa_index cat cat_blast
    cat_bwa chr21 combine_variants cycles cycles_fertilizer_increase_output_parser
    cycles_fertilizer_increase_output_summary cycles_output_summary cycles_plots dedup fast2bfq fasterq-dump fastqSplit
    fastq_reduce fertilizer_increase_cycles filterContams filtering_indel filtering_snp frequency genotype_gvcfs
    haplotype_caller indel_realign individuals individuals_merge mAdd mBackground mBgModel mConcatFit mDiffFit mImgtbl
    mProject mViewer map mapMerge merge merge_gcvf mutation_overlap pileup realign_target_creator sG1IterDecon
    select_variants_indel select_variants_snp sifting sol2sanger sort_sam split_fasta
    wrapper_siftSTFByMisfit""".split()
)


class Workflows(CachedGraphs, PlainGraphs):
    """Workflows of an application, made by the recipes of `wfcommons <https://wfcommons.org>`_ and stored.

    A recipe knows real executions: it repeats parts of the graph of one, and draws runtimes and sizes of files for each
    category of tasks as they were distributed there.

    * ``x`` ``[N, 1]``: category of each task, a place in :data:`CATEGORIES`.
    * ``edge_index`` ``[2, E]``: a task that has to be done before another, and that other.
    * ``runtime`` ``[N]`` in seconds, ``read`` and ``written`` ``[N]`` in bytes, float64.

    Making a graph of 1,000 tasks takes seconds, and wfcommons, which is in the extra ``workflows``. Reading those that
    are stored under ``root/workflows/processed`` takes neither.

    Args:
        application (str): ``"blast"``, ``"bwa"``, ``"cycles"``, ``"epigenomics"``, ``"genome"``, ``"montage"``,
            ``"seismology"``, ``"soykb"`` or ``"srasearch"``.
        num_graphs (int): Number of workflows.
        smallest (int): Least number of tasks, or that of the smallest trace if it has more. Sizes are drawn uniformly
            on a logarithmic scale; as whole parts are repeated, workflows have a few tasks less.
        largest (int): Largest number of tasks.
        seed (int): Workflow ``i`` depends on this, on ``i`` and on the arguments before only. (default: ``0``)
        root (str): Folder of all data sets. (default: ``"datasets"``)
        transform (callable, optional): Applied to each graph at every access.

    Raises:
        ValueError: If there is no such application, an argument is out of range, or stored graphs are damaged.
        ImportError: If graphs have to be made and wfcommons is not installed; it says how to install it.
        OSError: If they cannot be stored.
    """

    def __init__(
        self,
        application: str,
        num_graphs: int,
        smallest: int,
        largest: int,
        seed: int = 0,
        root: str | Path = "datasets",
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if application not in APPLICATIONS:
            raise ValueError(f"application must be one of {', '.join(APPLICATIONS)}, got {application!r}")
        if num_graphs < 1 or not 1 <= smallest <= largest or seed < 0:
            raise ValueError(
                "workflows need num_graphs of 1 or more, 1 <= smallest <= largest and a seed of 0 or more, got "
                f"num_graphs={num_graphs}, smallest={smallest}, largest={largest} and seed={seed}"
            )
        self.application, self.num_graphs, self.seed = application, num_graphs, seed
        self.smallest, self.largest = smallest, largest
        home = Path(root).expanduser() / "workflows"
        self._cache = GraphCache(home, [application, num_graphs, smallest, largest, seed], [_FORMAT])
        super().__init__(str(home), transform)
        self.load(self.processed_paths[0])

    @property
    def processed_file_names(self) -> list[str]:
        """The file of all graphs."""
        return [f"{self.application}.pt"]

    def process(self) -> None:
        """Make and store the graphs. PyG calls this if they are not stored yet."""
        recipe = Recipe(self.application)
        numbers = {name: number for number, name in enumerate(CATEGORIES)}
        unknown = [name for name in recipe.categories if name not in numbers]
        if unknown:
            raise ValueError(f"this version of wfcommons has categories of {self.application} that are new: {unknown}")
        least = recipe.traces[0][0]
        if self.largest < least:
            raise ValueError(f"the smallest trace of {self.application} has {least} tasks, got largest={self.largest}")
        graphs = []
        for number in range(self.num_graphs):
            seed = [self.seed, number, APPLICATIONS.index(self.application)]
            low, high = np.log([max(self.smallest, least), self.largest])
            tasks = int(np.exp(np.random.default_rng(seed).uniform(low, high)) + 0.5)
            graphs.append(recipe.make(tasks, seed, numbers))
        self.save(graphs, self.processed_paths[0])
