#pragma once

#ifndef WEFT_VERSION
#define WEFT_VERSION "0.1.0"  // the build says (CMakeLists.txt, project)
#endif

namespace weft {

inline constexpr char kSoftware[] = "weft/" WEFT_VERSION;  // as it stands in Hello and Welcome

}  // namespace weft
