import { create } from "@bufbuild/protobuf";
import {
  NodeProtoSchema,
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
} from "onnx-buf";

/** Functions may call others, but a file must not make millions of nodes of a few. */
const MAX_NODES = 2 ** 18;
const MAX_DEPTH = 64;

/**
 * A graph in which calls of the model's own functions are replaced by the functions' nodes.
 *
 * @throws Error naming a function that calls itself, or where the graph becomes too large
 */
export function inlined(graph: GraphProto, functions: readonly FunctionProto[]): GraphProto {
  if (functions.length === 0) return graph;
  const keyOf = (node: { readonly domain: string }, name: string) => `${node.domain}:${name}`;
  const known = new Map(functions.map((own) => [keyOf(own, own.name), own]));
  let count = 0;
  const result: NodeProto[] = [];
  const visit = (node: NodeProto, depth: number): void => {
    const own = known.get(keyOf(node, node.opType));
    if (own === undefined) {
      result.push(node);
      if (result.length > MAX_NODES)
        throw new Error(`the model's functions make more than ${String(MAX_NODES)} nodes`);
      return;
    }
    if (depth > MAX_DEPTH) throw new Error(`the model's function "${own.name}" calls itself`);
    const prefix = `${node.name === "" ? own.name : node.name}.${String(count++)}/`;
    for (const inner of bodyOf(own, node, prefix)) visit(inner, depth + 1);
  };
  for (const node of graph.node) visit(node, 0);
  return { ...graph, node: result };
}

/** The nodes of a function with the names and attributes of one call. */
function bodyOf(own: FunctionProto, call: NodeProto, prefix: string): NodeProto[] {
  const names = new Map<string, string>([
    ...own.input.map((name, i) => [name, call.input[i] ?? ""] as const),
    ...own.output.map((name, i) => [name, call.output[i] ?? ""] as const),
  ]);
  // An output that the call leaves out still needs a name where the body reads it.
  const renamed = (name: string): string => {
    if (name === "") return "";
    const given = names.get(name);
    return given !== undefined && (given !== "" || own.input.includes(name))
      ? given
      : `${prefix}${name}`;
  };
  const defaults = new Map(own.attributeProto.map((attribute) => [attribute.name, attribute]));
  const given = new Map(call.attribute.map((attribute) => [attribute.name, attribute]));
  const attribute = (own: AttributeProto): AttributeProto[] => {
    if (own.refAttrName === "") return [own];
    const value = given.get(own.refAttrName) ?? defaults.get(own.refAttrName);
    return value === undefined ? [] : [{ ...value, name: own.name }];
  };
  return own.node.map((node) =>
    create(NodeProtoSchema, {
      ...node,
      name: `${prefix}${node.name}`,
      input: node.input.map(renamed),
      output: node.output.map(renamed),
      attribute: node.attribute.flatMap(attribute),
    }),
  );
}
