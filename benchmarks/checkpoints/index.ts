// Float networks that come with the project, trained to the end by the portable engine: recipes, files,
// and how they are trained again. A newcomer adds a recipe, and trains it (`npm run checkpoints`).
export { isCurrent, nameOf, type Recipe, recipes } from "./recipes.js";
export {
  fileOf,
  LIST_FILE,
  readStoredFloat,
  storedFloat,
  storedFloats,
  type StoredFloat,
} from "./storedFloats.js";
export { type Retrained, trainAgain, trainRecipe } from "./training.js";
