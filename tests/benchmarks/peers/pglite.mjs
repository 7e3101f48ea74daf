// Change one row under PGlite's live queries, in the same process; print milliseconds as JSON.
// node pglite.mjs 'COLUMNS' ROWS TURNS

import { PGlite } from "@electric-sql/pglite";
import { live } from "@electric-sql/pglite/live";

const [columns, rows, turns] = [process.argv[2], +process.argv[3], +process.argv[4]];
const database = await PGlite.create({ extensions: { live } });
await database.exec(`
  CREATE TABLE result AS SELECT ${columns} FROM generate_series(1, ${rows}) AS i;
  ALTER TABLE result ADD PRIMARY KEY (id);
`);
const query = "SELECT * FROM result ORDER BY id";

async function measure(subscribe) {
  let told = () => {};
  let changed = new Promise((resolve) => (told = resolve));
  const subscription = await subscribe((result) => told(result));
  const times = [];
  for (let turn = 0; turn < turns; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    changed = new Promise((resolve) => (told = resolve));
    const update = `UPDATE result SET items = ${turn} WHERE id = ${Math.floor(rows / 2)}`;
    await database.exec(update);
    const begun = performance.now();
    await changed;
    times.push(performance.now() - begun);
  }
  await subscription.unsubscribe();
  return times;
}

const whole = await measure((told) => database.live.query(query, [], told));
const incremental = await measure((told) => database.live.incrementalQuery(query, [], "id", told));
console.log(JSON.stringify({ whole, incremental }));
process.exit(0);
