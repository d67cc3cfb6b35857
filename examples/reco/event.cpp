#include "event.hpp"

#include <HepMC3/GenEvent.h>
#include <HepMC3/GenParticle.h>
#include <HepMC3/GenVertex.h>
#include <HepMC3/ReaderAscii.h>
#include <HepMC3/Setup.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>

#include "units.hpp"

namespace reco {

namespace {

constexpr int kFinal = 1, kBeam = 4;      // HepMC3's particle status
constexpr double kReplayAngle = 2.39996;  // the golden angle: no replay comes close to an earlier one soon

/// As the PDG numbering scheme: odd quarks (d, s, b) -1/3, even ones (u, c, t) +2/3.
double quark_charge(int digit) {
  return digit % 2 == 1 ? -1. / 3 : 2. / 3;
}

Vector3 vector(const HepMC3::FourVector& v) {
  return {v.x(), v.y(), v.z()};
}

}  // namespace

Event parse_event(const EventText& text) {
  // HepMC3 would print its own view of a damaged event beside the exception.
  static const bool quiet = [] {
    HepMC3::Setup::set_print_errors(false);
    HepMC3::Setup::set_print_warnings(false);
    HepMC3::Setup::set_debug_level(0);
    return true;
  }();
  static_cast<void>(quiet);
  std::istringstream stream(text.text);
  HepMC3::ReaderAscii reader(stream);
  HepMC3::GenEvent source(HepMC3::Units::GEV, HepMC3::Units::MM);
  if (!reader.read_event(source) || reader.failed()) {
    throw UsageError("event " + std::to_string(text.number) + " is damaged");
  }
  source.set_units(HepMC3::Units::GEV, HepMC3::Units::MM);

  const double angle = text.replay * kReplayAngle;
  Event event{text.number, {}, 0};
  HepMC3::FourVector balance;
  for (const auto& particle : source.particles()) {
    if (particle->status() == kBeam) balance -= particle->momentum();
    if (particle->status() != kFinal) continue;
    balance += particle->momentum();
    event.particles.push_back(
        {particle->pid(), turned_about_beam(vector(particle->production_vertex()->position()), angle),
         turned_about_beam(vector(particle->momentum()), angle), particle->momentum().e()});
  }
  event.imbalance =
      std::max({std::abs(balance.x()), std::abs(balance.y()), std::abs(balance.z()), std::abs(balance.e())});
  return event;
}

double charge(int pdg_id) {
  const int sign = pdg_id < 0 ? -1 : 1, id = std::abs(pdg_id);
  if (id >= 11 && id <= 16) return id % 2 == 1 ? -sign : 0;
  const int q1 = id / 1000 % 10, q2 = id / 100 % 10, q3 = id / 10 % 10;
  if (q1 != 0) return sign * (quark_charge(q1) + quark_charge(q2) + quark_charge(q3));  // baryon
  if (q2 == 0) return 0;                                                                // photon and others
  // Meson: of its two quarks the heavier one, q2, is the antiquark if it is of the down kind.
  return sign * (quark_charge(q2) - quark_charge(q3)) * (q2 % 2 == 1 ? -1 : 1);
}

bool is_neutrino(int pdg_id) {
  const int id = std::abs(pdg_id);
  return id == 12 || id == 14 || id == 16;
}

bool is_muon(int pdg_id) {
  return std::abs(pdg_id) == 13;
}

bool is_electromagnetic(int pdg_id) {
  return std::abs(pdg_id) == 11 || pdg_id == 22;
}

}  // namespace reco
