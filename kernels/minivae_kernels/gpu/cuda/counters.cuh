// The training step's own state in device memory: a captured graph has no arguments to change.

// Whole numbers: the update that comes next, its index within this call, the first update whose
// loss was not finite (or -1), sums for the metrics, whether the update now under way is applied,
// and whether the graph is only being warmed up (nothing is applied or counted).
enum Counter { NOW, CALL, BAD, UPDATES, SAMPLES, LIVE, DRY, COUNTERS };

// Sums of doubles for the metrics: nll and loss over samples, then KL per dimension from KL_J on.
enum Sum { NLL, LOSS, KL_J };
