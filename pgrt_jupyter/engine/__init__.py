"""Keep queries' results current: the engine, which knows nothing of notebooks.

The journey of a change, one way:

- `statement` takes the parameters out of the text, `analysis` asks PostgreSQL what the query reads and
  follows its `dependencies` (of `known` texts they are remembered), `capture` puts triggers there, on the
  tables that `families` lists, with the function that `trigger` writes, unless `edition` finds those of a
  newer version; `removal` takes all of it out again.
- `listener` hears what they send, with `proof` that it does, `notification` decodes it; `interest` and
  `attention` say what is waited for, so that triggers are silent otherwise.
- `relevance` decides whether a change matters, with `filters`, `images`, `asking` and `questions` where the
  user gave a filter, and `rounds`, which says when images are read.
- `vigilance` says whether a query without a filter is worth having its changed rows looked at, `predicates`
  and `expressions` find in its text which rows cannot matter, `conditions` has the server judge and
  `weighing` runs what a row matters to.
- `shapes` says whether part of a query's result can be read alone, `planning` asks the server for what the
  text does not tell, `drafting` writes the texts of a plan (`plans`) with `rewriting`; `keeping` knows
  since when all changes are known, `changed` reads them, `deltas` what they lead to; `merging`, with
  `ordering` and `patches`, puts that in its place; `planned` runs it, or the whole query.
- `throttle` says when to run, `refresh` runs, `frames` makes the DataFrame, with `small` and `pieces` for
  results that were small or are large, and `diff` compares.
- `subscription` is what somebody asks for and is told; `group` holds the state of a query that subscriptions
  share, with what its tables mean to it (`watches`) and what to say of how it stands (`status`), and `roster`
  all of them; `preparation` makes a query ready, `runs` runs it, `audit` looks for what nobody announces,
  `runtime` coordinates, and `loop` is the thread that owns it all, with the `tasks` of each part. `progress`
  tells who waits for a first result how far it is.
- `server`, `workers` and `sessions` are how blocking work reaches the database: over a `connection`, or
  with a `refusal`; what reads does so in `transactions` that leave nothing behind, and the driver's errors
  become ours in `translation`.
"""
