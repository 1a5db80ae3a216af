// What users add without a checkout: modules of their own (--plugin) with algorithms, backends, models and
// data sets, checked and put into the lists. A newcomer who makes more extensible adds its list here; what
// plugins may import is in api.ts.
export { loadedPlugins, loadPlugins } from "./loadPlugins.js";
