import type { IForbiddenRuleType } from "dependency-cruiser";
export const FOLDERS: Readonly<Record<string, readonly string[]>>;
export const ROOMS: Readonly<Record<string, readonly string[]>>;
declare const rules: { readonly forbidden: IForbiddenRuleType[]; readonly options: object };
export default rules;
