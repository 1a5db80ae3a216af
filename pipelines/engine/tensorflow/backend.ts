import type * as tf from "#tf";

/** An attribute of one of TensorFlow's operators, as tfjs-node's binding takes it. */
export interface OperatorAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: number | string | boolean | readonly number[];
}

/** What is used here of tfjs-node's backend; the package is optional, so its types may be missing. */
export interface TensorFlowBackend {
  readonly binding: {
    readonly TF_Version: string;
    readonly TF_FLOAT: number;
    readonly TF_INT32: number;
    readonly TF_ATTR_BOOL: number;
    readonly TF_ATTR_INT: number;
    readonly TF_ATTR_STRING: number;
    readonly TF_ATTR_TYPE: number;
  };
  readonly isUsingGpuDevice: boolean;
  executeSingleOutput(
    operator: string,
    attributes: readonly OperatorAttribute[],
    inputs: readonly tf.TensorInfo[],
  ): tf.TensorInfo;
}
