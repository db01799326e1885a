/** Shows that the contract's checks fail on a storage that is broken in the way that they look for. */
import { describe, expect, it } from "vitest";
import type { Storage } from "../../src/domain/storage.ts";
import { openSqliteSubject } from "../helpers/sqlite.ts";
import { faults } from "./broken-storages.ts";
import { checkBulkRevocation, checkBulkRevocationIsWhole, checkPurge, checkRemovalIsWhole } from "./bulk-checks.ts";
import {
  checkImportsAtOnce,
  checkLastUse,
  checkLeases,
  checkNamePrefix,
  checkOnce,
  checkOneAcceptanceWins,
  checkOneKeyReplacement,
  checkOneOwnerStays,
  checkOnePasswordWins,
  checkOneRegistrationWins,
  checkOneResetWins,
  checkOneRotationWins,
  checkOneSetUpWins,
  checkOneSigningKey,
  checkPaging,
  checkProfileChange,
  checkReadsSeeWrites,
  checkSetUpIsWhole,
  checkUpdatesGoByWhatTheyRead,
  checkUsesAreAdded,
  checkWriteHealth,
} from "./checks.ts";
import { checkLeasesSurvive, expectStored, startWritingProcess } from "./durability.ts";
import {
  checkChangesAreCounted,
  checkConcurrentChains,
  checkEachChangeHasItsEvent,
  checkNoChangeWithoutEvent,
} from "./event-checks.ts";
import { checkFormerUse, checkOldSecretIsKnown, checkOneSecretWins, checkRotations } from "./rotation-checks.ts";

const caught: readonly [string, (storage: Storage) => Storage, (storage: Storage) => Promise<void>][] = [
  ["S2: stale reads", faults.readsStale, checkReadsSeeWrites],
  ["S3: a set-up in steps", faults.setsUpInSteps, checkSetUpIsWhole],
  ["SU1: a set-up that looks first", faults.setsUpInSteps, checkOneSetUpWins],
  ["O5: a change of profile that looks first", faults.changesProfileWithoutLock, checkProfileChange],
  ["M5, M6: a guard of the last owner that looks first", faults.guardsOwnersWithoutLock, checkOneOwnerStays],
  ["L1: leases that look first", faults.leasesWithoutLock, checkLeases],
  ["I1, I2: a record that is looked for first", faults.recordsWithoutLock, checkOnce],
  ["TF1: names that are guessed", faults.guessesNames, checkNamePrefix],
  ["TU2: an update of whatever is there", faults.updatesWhateverIsThere, checkUpdatesGoByWhatTheyRead],
  ["IM1: an import in steps", faults.importsInSteps, checkImportsAtOnce],
  ["T5: pages by offset", faults.pagesByOffset, checkPaging],
  ["T7: the last write wins", faults.keepsLatestWrite, checkLastUse],
  ["T8: counts that are set, and not added", faults.setsCountsOfUses, checkUsesAreAdded],
  ["TR1: a look-up in two steps", faults.findsSecretsInSteps, checkOldSecretIsKnown],
  ["TR2: a new secret that looks first", faults.rotatesTokensWithoutLock, checkOneSecretWins],
  ["TR6: secrets that end by the clock", faults.endsSecretsByTheClock, checkRotations],
  ["TR7: uses of another overlap", faults.countsEveryFormerUse, checkFormerUse],
  ["B1: revokes one by one", faults.revokesOneByOne, checkBulkRevocationIsWhole],
  ["B1, B3: a name that is compared loosely", faults.matchesNamesLoosely, checkBulkRevocation],
  ["P2: a purge of what hasn't ended", faults.purgesWhatIsAsked, checkPurge],
  ["M8: a removal in steps", faults.removesInSteps, checkRemovalIsWhole],
  ["M9: a token for somebody who has gone", faults.issuesToAnybody, checkRemovalIsWhole],
  ["U5: a password that looks first", faults.changesPasswordsWithoutLock, checkOnePasswordWins],
  ["U7: a registration in steps", faults.registersInSteps, checkOneRegistrationWins],
  ["IV5: an invitation that is looked at first", faults.acceptsInSteps, checkOneAcceptanceWins],
  ["PL4: a link that is looked at first", faults.resetsPasswordsInSteps, checkOneResetWins],
  ["R4: a rotation that looks first", faults.rotatesWithoutLock, checkOneRotationWins],
  ["E1: an event that is not of its change", faults.changesBeforeRecording, checkEachChangeHasItsEvent],
  [
    "E2: numbers that are given twice",
    faults.numbersEventsWithoutLock,
    (storage) => checkConcurrentChains(storage, 40),
  ],
  ["F1: a count that comes late", faults.countsLate, checkChangesAreCounted],
  ["K3: a replacement that looks first", faults.replacesEverySigningKey, checkOneKeyReplacement],
  ["K1: a key that looks first", faults.keepsEverySigningKey, checkOneSigningKey],
];

describe("the contract's checks notice", () => {
  for (const [title, breakStorage, check] of caught) {
    it(title, async () => {
      await using subject = await openSqliteSubject();
      await expect(check(breakStorage(subject.storage))).rejects.toThrow(/expected|Property failed/);
    });
  }

  it("S1: writes that are acknowledged before they are stored", async () => {
    await using subject = await openSqliteSubject();
    await subject.storage.close();
    await using writing = startWritingProcess(subject.location, "acknowledgesEarly");
    await writing.acknowledged(200);
    const acknowledged = await writing.kill();
    await expect(expectStored(await subject.reopen(), acknowledged)).rejects.toThrow("lost after it was acknowledged");
  });

  it("E1: a change that is made before it is recorded", async () => {
    await using subject = await openSqliteSubject();
    const storage = faults.changesBeforeRecording(subject.storage);
    const broken = { ...subject, storage, failEvents: subject.failEvents };
    await expect(checkNoChangeWithoutEvent(broken)).rejects.toThrow(/expected/);
  });

  it("H3: a ping that doesn't write", async () => {
    await using subject = await openSqliteSubject();
    const broken = { storage: faults.pingsReadsOnly(subject.storage), blockWrites: subject.blockWrites };
    await expect(checkWriteHealth(broken)).rejects.toThrow(/expected/);
  });

  it("L1: leases that are granted before they are stored", async () => {
    await using subject = await openSqliteSubject();
    await expect(checkLeasesSurvive(subject, "leasesFromMemory")).rejects.toThrow(/expected/);
  });
});
