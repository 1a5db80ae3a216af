/** The parts of jstat that are used; it comes without types. */
declare module "jstat" {
  const library: {
    readonly jStat: {
      readonly studentt: {
        cdf(x: number, degreesOfFreedom: number): number;
        inv(probability: number, degreesOfFreedom: number): number;
      };
      readonly normal: {
        cdf(x: number, mean: number, deviation: number): number;
        inv(probability: number, mean: number, deviation: number): number;
      };
      readonly chisquare: { cdf(x: number, degreesOfFreedom: number): number };
      /** The studentized range. */
      readonly tukey: {
        inv(probability: number, groups: number, degreesOfFreedom: number): number;
      };
    };
  };
  export default library;
}
