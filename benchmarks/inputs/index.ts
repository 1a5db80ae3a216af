// What users bring: their networks and their images, read, checked and stored with the run. A newcomer
// adds a format of images or arrays (ownData/). Whatever is read may be damaged or hostile.
export { type DatasetReference, loadDataset, loadOrDeclare, withClasses } from "./loadedData.js";
export { loadOwnData, type OwnData, ownDataSchema } from "./ownData/index.js";
export { readPreprocessing } from "./ownData/preprocessing.js";
export {
  type OwnNetwork,
  loadOwnNetwork,
  ownNetwork,
  readOwnNetwork,
  storeOwnNetwork,
} from "./ownNetwork.js";
