// onnxruntime 1.30 keeps an identifier of the machine in the user's cache, notes what its sessions do, and sends it
// home, unless this says otherwise before it is loaded. Child processes inherit it.
process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
