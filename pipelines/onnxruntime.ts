// onnxruntime as everything here imports it.
import "./withoutTelemetry.js";

export * from "onnxruntime-node";
