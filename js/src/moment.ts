/** Give the time in milliseconds, by a clock that nobody sets. */
export function moment(): number {
  return performance.now();
}
