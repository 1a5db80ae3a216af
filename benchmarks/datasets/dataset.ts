import type { Dataset } from "../../pipelines/train/index.js";

/** What some files of a data set hold. */
export type SomeOfDataset = Omit<Dataset, "train" | "test"> &
  Partial<Pick<Dataset, "train" | "test">>;

/** A data set that can be loaded; `load` reads and verifies its files. */
export interface DatasetSource {
  readonly name: string;
  readonly title: string;
  readonly license: string;
  /** Whether the files come with this package; others are read from a data directory. */
  readonly embedded: boolean;
  /** Files that the data directory must hold, each alone or with .gz appended. */
  readonly files: readonly string[];
  /**
   * @param directory where the files lie; ignored by embedded data sets
   * @throws Error naming the file that is missing, truncated or has another checksum
   */
  load(directory: string): Promise<Dataset>;
  /** A part of the files, where they can be read apart: those that are there. */
  loadSome?(directory: string, files: readonly string[]): Promise<SomeOfDataset>;
  /** Whether files of these names are this data set's, where other data sets call theirs the same. */
  owns?(directory: string): Promise<boolean>;
  /** What is known without the files, for --dry-run where they are not there. */
  declared?(): Dataset;
}
