/** For whom a report is. */
export interface View {
  /** Of the terminal that shows it; undefined where nothing is cut. */
  columns?: number | undefined;
  /** Whether lists are shown whole. */
  verbose?: boolean | undefined;
}
