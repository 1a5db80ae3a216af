import { accuracyControl } from "./accuracyControl.js";
import { adaRound } from "./adaRound.js";
import type { Algorithm } from "./algorithm.js";
import { apot } from "./apot.js";
import { batchNormRecalibration } from "./batchNormRecalibration.js";
import { biasCorrection } from "./biasCorrection.js";
import { bnn } from "./bnn.js";
import { brecq } from "./brecq.js";
import { brecqMqbench } from "./brecqMqbench.js";
import { channelwiseEnergy } from "./channelwiseEnergy.js";
import { channelwiseSize } from "./channelwiseSize.js";
import { deepShift } from "./deepShift.js";
import { dorefa } from "./dorefa.js";
import { dorefaMqbench } from "./dorefaMqbench.js";
import { dsq } from "./dsq.js";
import { dsqMqbench } from "./dsqMqbench.js";
import { equalization } from "./equalization.js";
import { haq } from "./haq.js";
import { haqKMeans } from "./haqKMeans.js";
import { hawq } from "./hawq.js";
import { kl } from "./kl.js";
import { logarithmic } from "./logarithmic.js";
import { lsq } from "./lsq.js";
import { lsqMqbench } from "./lsqMqbench.js";
import { lsqPlus } from "./lsqPlus.js";
import { magnitudePruning } from "./magnitudePruning.js";
import { meanStd } from "./meanStd.js";
import { minMax } from "./minMax.js";
import { movingAverage } from "./movingAverage.js";
import { mse } from "./mse.js";
import { nasa } from "./nasa.js";
import { nce } from "./nce.js";
import { norm } from "./norm.js";
import { pact } from "./pact.js";
import { pactMqbench } from "./pactMqbench.js";
import { palquant } from "./palquant.js";
import { parameterizedPruning } from "./parameterizedPruning.js";
import { percentile } from "./percentile.js";
import { qdrop } from "./qdrop.js";
import { qil } from "./qil.js";
import { qilMqbench } from "./qilMqbench.js";
import { randomAssignment } from "./randomAssignment.js";
import { randomSearch } from "./randomSearch.js";
import { schaefer } from "./schaefer.js";
import { sdq } from "./sdq.js";
import { slimming } from "./slimming.js";
import { smartDeal } from "./smartDeal.js";
import { smartExchange } from "./smartExchange.js";
import { smartExchangeRetrained } from "./smartExchangeRetrained.js";
import { spos } from "./spos.js";
import { sposBins } from "./sposBins.js";
import { sposChannels } from "./sposChannels.js";
import { tas } from "./tas.js";
import { tqt } from "./tqt.js";
import { tqtMqbench } from "./tqtMqbench.js";
import { truncation } from "./truncation.js";
import { uniformWidth } from "./uniformWidth.js";
import { ttq } from "./ttq.js";
import { twn } from "./twn.js";
import { twoFourPruning } from "./twoFourPruning.js";
import { verticalLayering } from "./verticalLayering.js";
import { xnorNet } from "./xnorNet.js";

/** Every algorithm, in the order of tables: trained ones first. */
export const algorithms: readonly Algorithm[] = [
  lsq,
  lsqMqbench,
  lsqPlus,
  pact,
  pactMqbench,
  dorefa,
  dorefaMqbench,
  dsq,
  dsqMqbench,
  tqt,
  tqtMqbench,
  qil,
  qilMqbench,
  apot,
  deepShift,
  logarithmic,
  palquant,
  bnn,
  xnorNet,
  twn,
  ttq,
  magnitudePruning,
  twoFourPruning,
  hawq,
  haq,
  haqKMeans,
  spos,
  sposBins,
  sposChannels,
  sdq,
  schaefer,
  slimming,
  nce,
  tas,
  uniformWidth,
  nasa,
  verticalLayering,
  truncation,
  smartExchangeRetrained,
  randomSearch,
  randomAssignment,
  channelwiseSize,
  channelwiseEnergy,
  minMax,
  smartDeal,
  smartExchange,
  movingAverage,
  parameterizedPruning,
  percentile,
  mse,
  kl,
  norm,
  meanStd,
  batchNormRecalibration,
  biasCorrection,
  equalization,
  adaRound,
  brecq,
  brecqMqbench,
  accuracyControl,
  qdrop,
];
