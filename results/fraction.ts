import { z } from "zod";

/** A share or accuracy, 0 to 1; percentages exist only in reports. */
export const fraction = z.number().min(0).max(1);
