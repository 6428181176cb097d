"""Scientific workflows, what a planner knows of them, and how long they then take."""
