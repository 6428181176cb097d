"""What a planner knows of a workflow before it runs, and how long it then takes."""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from plstm_graph.datasets.workflows.list_schedule import earliest_finish, makespan

PlanTarget = Literal["makespan", "critical_path"]

#: Numbers of machines among which one is drawn for each workflow.
MACHINES = (2, 4, 8, 16, 32)
#: Names of the columns of ``x`` of a plan.
COLUMNS = (
    *("category", "runtime", "reading", "writing", "runtime_load", "reading_load", "writing_load"),
    *("log_time", "log_load", "log2_machines"),
)
# Bytes a second by the data sheet, which the planner has, and what reading and writing reach of it.
_NOMINAL, _READING, _WRITING = 125e6, 0.5, 0.25
# Systematic errors of categories are the same in every part and for every seed of workflows.
_SEED_OF_BIAS = 20_260_101


class Planner:
    """Puts a workflow as a question: its tasks as they are planned, and its true makespan.

    A planner knows each task's category, a runtime that earlier runs suggest, how much the task reads and writes, the
    speed of the network by its data sheet, and the number of machines. What then happens is this, of which models are
    told nothing. A task takes

        runtime + read / (0.5 speed) + written / (0.25 speed)

    and the suggested runtime is ``runtime * exp(bias + noise)``. The bias is that of its category, and the same in all
    workflows: normal, with standard deviation ``bias``. The noise is that of the task, with standard deviation
    ``noise``. The scheduler goes by what was planned
    (:func:`~plstm_graph.datasets.workflows.list_schedule.list_schedule` with upward ranks of planned times); the tasks
    take what they take.

    Columns of ``x`` ``[N, 10]``, in which a *load* is the planned time of a task, suggested runtime and nominal
    transfers, in units of what each machine would have to do if all planned work were shared out evenly:

    * the category, 0 where training does not know it;
    * suggested runtime, reading and writing at nominal speed, over the mean planned time of the workflow's tasks;
    * the same three as loads;
    * the logarithms of the planned time over that mean, and of the load;
    * the binary logarithm of the number of machines.

    With ``"makespan"``, ``y`` ``[1, 1]`` is the makespan in the unit of loads: 1 means that all machines were busy to
    the end, as planned. With ``"critical_path"`` there is a machine for every task, a load is a planned time over the
    mean, and ``y`` ``[N, 1]`` says when each task is done, in mean planned times; ``is_last`` ``[N]`` marks the one
    that is done last. The unit in seconds is ``unit`` ``[1, 1]``.

    What classical planning gives stands beside, in the unit of ``y`` and of its shape: ``planned``, the same schedule
    if tasks took what was planned; ``informed``, if they took what follows from the plan by the formula above, noise
    apart. The latter knows what nobody is told: it shows how much noise leaves to be gained. ``critical`` ``[1, 1]`` is
    the planned critical path.

    Args:
        known (sequence[int]): Categories that training knows.
        target (str): ``"makespan"`` or ``"critical_path"``. (default: ``"makespan"``)
        bias (float): See above. (default: ``0.2``)
        noise (float): See above. (default: ``0.05``)
        seed (int): Noise and machines of plan ``i`` depend on this and on ``i`` only. (default: ``0``)

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        known: Sequence[int],
        target: PlanTarget = "makespan",
        bias: float = 0.2,
        noise: float = 0.05,
        seed: int = 0,
    ) -> None:
        if target not in get_args(PlanTarget):
            raise ValueError(f"target must be 'makespan' or 'critical_path', got {target!r}")
        if not (0 <= bias < math.inf and 0 <= noise < math.inf) or seed < 0:
            raise ValueError(f"bias, noise and seed must be 0 or more, got {bias}, {noise} and {seed}")
        self.target, self.bias, self.noise, self.seed = target, bias, noise, seed
        self.known = sorted(set(known))

    @property
    def num_categories(self) -> int:
        """Categories that models are told apart, with that of unknown tasks."""
        return len(self.known) + 1

    def plan(self, workflow: Data, number: int) -> Data:
        """The question of a workflow.

        Args:
            workflow: A graph of :class:`~plstm_graph.datasets.Workflows`.
            number: Of the plan.

        Raises:
            ValueError: If all tasks together take no time as planned, or more than numbers can tell.
        """
        draws = np.random.default_rng([self.seed, number])
        machines = int(draws.choice(MACHINES))
        category, runtime, edges = workflow.x.view(-1), workflow.runtime, workflow.edge_index
        bias = self.bias * _bias_of(int(category.max()) + 1)[category]
        suggested = runtime * (bias + self.noise * torch.from_numpy(draws.standard_normal(len(runtime)))).exp()
        reading, writing = workflow.read / _NOMINAL, workflow.written / _NOMINAL
        planned = suggested + reading + writing
        true = runtime + reading / _READING + writing / _WRITING
        # The mean of a lognormal error, taken out together with the bias.
        informed = suggested * (0.5 * self.noise**2 - bias).exp() + reading / _READING + writing / _WRITING
        mean = float(planned.mean())
        if not 0 < mean < math.inf:
            raise ValueError(
                f"the {len(planned)} tasks of workflow {number} take {mean:g} s on average as planned, with "
                f"bias={self.bias:g} and noise={self.noise:g}: their mean is the unit of all times, which has to be "
                "above 0 and finite"
            )
        unit = mean * len(planned) / machines if self.target == "makespan" else mean

        def outcome(duration: Tensor) -> Tensor:
            if self.target == "critical_path":
                return earliest_finish(duration, edges).view(-1, 1) / unit
            rank = earliest_finish(planned, edges.flip(0))
            return torch.tensor([[makespan(duration, edges, machines, rank) / unit]], dtype=torch.double)

        y = outcome(true)
        parts = torch.stack([suggested, reading, writing], dim=1)
        logarithms = torch.stack([planned / mean, planned / unit], dim=1).clamp(min=1e-6).log()
        numbers = [parts / mean, parts / unit, logarithms, torch.full((len(runtime), 1), math.log2(machines))]
        more = {"is_last": y.view(-1) == y.max()} if self.target == "critical_path" else {}
        return Data(
            x=torch.cat([self._seen(category), *numbers], dim=1).float(),
            edge_index=edges,
            y=y.float(),
            planned=outcome(planned),
            informed=outcome(informed),
            critical=earliest_finish(planned, edges).max().view(1, 1) / unit,
            unit=torch.tensor([[unit]], dtype=torch.double),
            machines=torch.tensor([machines]),
            **more,
        )

    def _seen(self, category: Tensor) -> Tensor:
        """Place of each category among the known ones, from 1 on, ``[N, 1]``; 0 for others."""
        places = torch.zeros(max([int(category.max()), *self.known]) + 1, dtype=torch.long)
        places[self.known] = torch.arange(1, len(self.known) + 1)
        return places[category].view(-1, 1)


def _bias_of(categories: int) -> Tensor:
    """A standard normal number for each category; of one, it is the same however many there are."""
    return torch.from_numpy(np.random.default_rng(_SEED_OF_BIAS).standard_normal(categories))
