#include "jobs/latency_profile.hpp"

namespace fp8cal {

const char* cause_name(Cause cause) {
  switch (cause) {
    case Cause::products:
      return "products";
    case Cause::attention:
      return "attention";
    case Cause::scaling:
      return "scaling";
    case Cause::norms:
      return "norms";
    case Cause::collectives:
      return "collectives";
    case Cause::gaps:
      return "gaps";
  }
  return "";
}

}  // namespace fp8cal
