import type { Operation } from "../operation.js";

type Translate = (operation: Operation) => void;

/** What ONNX has under another name. */
const same =
  (operator: string): Translate =>
  (operation) => {
    operation.give(operator, inputsOf(operation));
  };

/** The same with an activation in field 0. */
const activated =
  (operator: string): Translate =>
  (operation) => {
    operation.giveActivated(operation.byte(0), operator, inputsOf(operation));
  };

const inputsOf = (operation: Operation): string[] =>
  Array.from({ length: operation.inputCount }, (_, i) => operation.input(i));

/** Activations and arithmetic. */
export const elementwise: Readonly<Record<string, Translate>> = {
  ADD: activated("Add"),
  ADD_N: same("Sum"),
  SUB: activated("Sub"),
  MUL: activated("Mul"),
  DIV: activated("Div"),
  RELU: same("Relu"),
  RELU6: (operation) => {
    operation.activate(operation.input(0), "relu6");
  },
  RELU_N1_TO_1: (operation) => {
    operation.activate(operation.input(0), "reluN1To1");
  },
  RELU_0_TO_1: (operation) => {
    operation.clip(operation.input(0), 0, 1);
  },
  LEAKY_RELU: (operation) => {
    operation.give("LeakyRelu", [operation.input(0)], { alpha: { float: operation.float(0) } });
  },
  PRELU: same("PRelu"),
  ELU: same("Elu"),
  GELU: (operation) => {
    const approximate = operation.flag(0) ? "tanh" : "none";
    operation.give("Gelu", [operation.input(0)], { approximate });
  },
  HARD_SWISH: same("HardSwish"),
  LOGISTIC: same("Sigmoid"),
  TANH: same("Tanh"),
  EXP: same("Exp"),
  SQRT: same("Sqrt"),
  ABS: same("Abs"),
  NEG: same("Neg"),
  POW: same("Pow"),
  RSQRT: (operation) => {
    // The root divided by the value is 1 divided by the root.
    const root = operation.add("Sqrt", [operation.input(0)]);
    operation.give("Div", [root, operation.input(0)]);
  },
  SQUARE: (operation) => {
    operation.give("Mul", [operation.input(0), operation.input(0)]);
  },
  SQUARED_DIFFERENCE: (operation) => {
    const difference = operation.add("Sub", inputsOf(operation));
    operation.give("Mul", [difference, difference]);
  },
  MAXIMUM: bounded("Max"),
  MINIMUM: bounded("Min"),
  SOFTMAX: (operation) => {
    const beta = operation.float(0);
    const scaled =
      beta === 1
        ? operation.input(0)
        : operation.add("Mul", [operation.input(0), operation.number(beta)]);
    operation.give("Softmax", [scaled], { axis: -1 });
  },
  LOG_SOFTMAX: (operation) => {
    operation.give("LogSoftmax", [operation.input(0)], { axis: -1 });
  },
};

/** The number last, where there is one. */
function bounded(operator: string): Translate {
  return (operation) => {
    const [a = "", b = ""] = inputsOf(operation);
    operation.give(operator, operation.isConstant(0) ? [b, a] : [a, b]);
  };
}
