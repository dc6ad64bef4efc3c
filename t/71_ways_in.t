# The ways in: each by the example that docs/auth.md shows, their order, what is refused, and that no credential is found in
# any log afterwards.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Weft::Test;
use Weft::Ticket qw(ticket);

my $t      = Weft::Test->new(needs => [qw(ngx_http_weft_module.so weftd weftctl)]);
my $key    = $t->key_file;
my $prefix = $t->prefix;
my @secrets;    # all credentials that were sent: none may be found in a log

sub secret { push @secrets, $_[0]; return $_[0] }
sub good { return secret($t->ticket(@_)) }
sub forged { return secret(ticket('another key, of more than 32 bytes', @_)) }

# ---- certificates and keys ---------------------------------------------------------------------------------------------

sub run { my ($command) = @_; return qx{$command 2>&1} }

my $ec = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2';
run("openssl req -x509 $ec -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout $prefix/server.key -out $prefix/server.crt");
run("openssl req -x509 $ec -subj /CN=clients -keyout $prefix/clients.key -out $prefix/clients.crt");
for my $name (qw(sensor-7 visitor)) {
    run("openssl req $ec -subj /O=Weft/CN=$name -keyout $prefix/$name.key -out $prefix/$name.csr");
    run("openssl x509 -req -in $prefix/$name.csr -CA $prefix/clients.crt -CAkey $prefix/clients.key -CAcreateserial -days 2 -out $prefix/$name.crt");
}
run("openssl req -x509 $ec -subj /CN=sensor-7 -keyout $prefix/stranger.key -out $prefix/stranger.crt");

# The documentation's own command makes the key.
my $docs = slurp("$FindBin::Bin/../docs/auth.md");
my ($command) = $docs =~ /^```sh\n(weftctl apikey.*?)^```$/ms or die 'no weftctl apikey in docs/auth.md';
my ($shown) = (my $mine = $command) =~ s{weftctl}{$Weft::Test::BUILD/weftctl}r =~ s{/etc/weft}{$prefix}r;
my $api_key = secret(run($shown) =~ s/\n\z//r);
like($api_key, qr/^weft_[\w-]{43}$/, 'the documented weftctl apikey prints a key');
unlike(slurp("$prefix/api.keys"), qr/\Q$api_key\E/, 'and leaves none in the file');

# ---- the servers -------------------------------------------------------------------------------------------------------

# The configurations of docs/auth.md, by their headings, each with a port of its own.
my (%port, @servers);
my $session = $t->port;
while ($docs =~ /^### ([^\n]+)\n(.*?)(?=^##|\z)/msg) {
    my ($heading, $section) = ($1, $2);
    my ($conf) = $section =~ /^```nginx\n(.*?)^```$/ms or next;
    $port{$heading} = $t->port;
    $conf =~ s/listen 8\d\d\d/listen 127.0.0.1:$port{$heading}/;
    $conf =~ s{/etc/weft/}{$prefix/}g;
    $conf =~ s/127\.0\.0\.1:9000/127.0.0.1:$session/;
    push @servers, $conf;
}
is(scalar keys %port, 8, 'docs/auth.md has an example for each way');

my $all = join '|', map { "\$$_" } qw(request request_uri args arg_ticket http_authorization http_sec_websocket_protocol http_cookie
    cookie_weft http_x_api_key weft_request_uri weft_user);
my $node = $t->node(
    'a',
    http => "    log_format all '\$status|$all';\n    access_log all.log all;\n    weft_log_format ended '$all';\n    weft_log ended.log ended;\n"
        . join('', @servers) . <<"HTTP",
    map \$http_cookie \$stub_user { default ""; session=ann ann; session=broken broken; session=evil "a\\tb"; session=idle idle; }
    map \$http_cookie \$stub_grants {
        default        '{"channels":{"chat:*":["subscribe"]}}';
        session=broken '{"channels":["chat:*"]}';
        session=idle   "";
    }
    server {
        listen 127.0.0.1:$session;
        location = /session {
            if (\$http_cookie = session=none) { return 401; }
            add_header X-User   \$stub_user;
            add_header X-Grants \$stub_grants;
            return 204;
        }
    }
HTTP
    server => <<"SERVER",
        weft_ticket key=$key;
        location = /user    { weft_websocket; weft_cookie weft; weft_user \$http_x_user; weft_anonymous on; }
        location = /first   { weft_websocket; weft_cookie weft; weft_user \$http_x_user; weft_auth_timeout 1s; }
        location = /counted { weft_websocket; weft_auth_timeout 10s; weft_connections per_user=1; }
        location = /http    { weft_websocket; weft_reject http; weft_auth_timeout off; }
        location = /plain   { weft_websocket; }
        location = /denied  { weft_websocket; weft_cookie weft; deny all; error_page 403 /sorry; }
        location = /sorry   { return 403 sorry; }
        location ~ ^/both/(.+)\$ { weft_publish \$1 ticket; weft_api_key $prefix/api.keys; }
        location = /closed  { weft_publish chat:closed; weft_api_key $prefix/api.keys; deny all; }
SERVER
    location => 'weft_origin *;',
);
my $nginx = $node->nginx;
my @statuses;

sub ws {
    my (%with) = @_;
    return Weft::Client->open(port => $node->port, path => '/plain', %with);
}

sub accepted {
    my ($client, $user, $what) = @_;
    my $first = $client->next_message;
    is($first->{type}, 'connection_established', 'greeted');
    is($first->{payload}{user}, $user, $what // "as '$user'");
    return $client;
}

sub refused {
    my ($client, $code) = @_;
    my $close = $client->read_close;
    is($close->{code}, $code, "closed with $code");
    my ($error) = @{ $close->{messages} };
    is($error->{payload}{code}, $code, 'and told so');
    my $message = $error->{payload}{message};
    is($message, 'the credentials were not accepted', 'and no more') if $code == 4002;
    return;
}

sub subscribe_code { my ($client, $channel) = @_; return $client->call('subscribe', channel => $channel)->{payload}{code} // 'ok' }

# Answers to plain HTTP handshakes, with their headers.
sub handshake {
    my ($port, $path, @headers) = @_;
    local $nginx->{port} = $port;
    my $lines = '';
    while (my ($name, $value) = splice @headers, 0, 2) { $lines .= "$name: $value\r\n" }
    return $nginx->exchange("GET $path HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n$lines\r\n");
}

# ---- tokens and cookies ------------------------------------------------------------------------------------------------

my $tokens = $port{'Tokens and cookies'};
my @page   = (port => $tokens, origin => 'https://app.example.com');
my %ways = (
    'header'     => sub { (headers => [ Authorization => "Bearer $_[0]" ]) },
    'protocol'   => sub { (protocols => "weft.v1.json, bearer.$_[0]") },
    'pair'       => sub { (protocols => "weft.v1.json, bearer, $_[0]") },
    'query'      => sub { (path => "/ws?a=1&ticket=$_[0]&b=2") },
    'cookie'     => sub { (headers => [ Cookie => "theme=dark; __Host-weft=$_[0]; x=y" ]) },
);
for my $way (sort keys %ways) {
    check "a ticket comes in by $way" => sub {
        my $client = accepted(Weft::Client->open(@page, $ways{$way}->(good(sub => $way))), $way);
        unlike($client->answer, qr/bearer|eyJ/, 'and is not in the answer');
        is(subscribe_code($client, 'chat:x'), 'ok', 'with its grants');
    };
    check "a forged one by $way is refused" => sub {
        refused(Weft::Client->open(@page, $ways{$way}->(forged())), 4002);
    };
    check "an expired one by $way is refused" => sub {
        refused(Weft::Client->open(@page, $ways{$way}->(good(exp => time - 60))), 4002);
    };
}
check 'the first of them counts, in the documented order, and is not made good by a later one' => sub {
    my @order = (
        [ header   => sub { push @{ $_[0]{headers} }, Authorization => "Bearer $_[1]" } ],
        [ protocol => sub { $_[0]{protocols} = "weft.v1.json, bearer.$_[1]" } ],
        [ query    => sub { $_[0]{path} .= "?ticket=$_[1]" } ],
        [ cookie   => sub { push @{ $_[0]{headers} }, Cookie => "weft=$_[1]" } ],
        [ variable => sub { push @{ $_[0]{headers} }, 'X-User' => 'variable' } ],
    );
    for my $i (0 .. $#order) {
        my %with = (path => '/user');
        $order[$_][1]->(\%with, good(sub => $order[$_][0])) for $i .. $#order;
        accepted(ws(%with), $order[$i][0]);
        next if $order[$i][0] eq 'variable';
        %with = (path => '/user');
        $order[$i][1]->(\%with, forged(sub => $order[$i][0]));
        $order[$_][1]->(\%with, good(sub => $order[$_][0])) for $i + 1 .. $#order;
        refused(ws(%with), 4002);
    }
    accepted(ws(path => '/user'), '', 'and nobody is anonymous');
};
check 'a credential that is there and empty is refused, but for a cookie' => sub {
    refused(ws(path => '/user', headers => [ Authorization => 'Bearer ' ]), 4002);
    refused(ws(path => '/user', headers => [ Authorization => "Bearer\t" . good() . ' x' ]), 4002);
    refused(ws(path => '/user?ticket='), 4002);
    refused(ws(path => '/user', protocols => 'weft.v1.json, bearer.'), 4002);
    refused(ws(path => '/user', protocols => 'weft.v1.json, bearer'), 4002);
    accepted(ws(path => '/user', headers => [ Cookie => 'weft=' ]), '', 'which was taken back');
};
check 'the pair alone is answered bearer, and the token never' => sub {
    my $answer = handshake($tokens, '/ws', 'Sec-WebSocket-Protocol' => 'bearer, ' . good());
    is($answer->{status}, 101, 'upgraded');
    is($answer->{headers}{'sec-websocket-protocol'}, 'bearer', 'bearer');
    $answer = handshake($tokens, '/ws', 'Sec-WebSocket-Protocol' => 'bearer.' . good());
    is($answer->{headers}{'sec-websocket-protocol'}, undef, 'the other form alone gets no subprotocol');
};
check 'another cookie, or the same name in capitals, is none' => sub {
    refused(Weft::Client->open(@page, headers => [ Cookie => 'weft=' . $t->ticket(sub => 'theirs') . '; __HOST-WEFT=' . $t->ticket(sub => 'theirs') ]), 4001);
};
check 'cookies of another site are kept out by the origin' => sub {
    my $answer = handshake($tokens, '/ws', Cookie => '__Host-weft=' . good(), Origin => 'https://evil.example');
    is($answer->{status}, 403, 'answered 403');
};

# ---- what nginx knows --------------------------------------------------------------------------------------------------

my $tls = $port{'Client certificates'};
sub by_certificate {
    my ($name) = @_;
    return Weft::Client->open(port => $tls, tls => 1, ca => "$prefix/server.crt", cert => "$prefix/$name.crt", cert_key => "$prefix/$name.key");
}
check 'a client certificate is a user with grants' => sub {
    my $sensor = accepted(by_certificate('sensor-7'), 'sensor-7');
    is(subscribe_code($sensor, 'chat:x'), 'ok', 'with the grants of sensors');
    is(subscribe_code($sensor, 'ticker:x'), 4010, 'and no others');
    my $visitor = accepted(by_certificate('visitor'), 'visitor');
    is(subscribe_code($visitor, 'ticker:x'), 'ok', 'another has others');
    is(subscribe_code($visitor, 'chat:x'), 4010, 'and not the first one\'s');
};
check 'a certificate of another issuer gets nowhere' => sub {
    ok(!eval { by_certificate('stranger') }, 'no upgrade');
};

my $auth = $port{'Sessions by auth_request'};
check 'auth_request is a user with grants' => sub {
    my $ann = accepted(Weft::Client->open(port => $auth, headers => [ Cookie => 'session=ann' ]), 'ann');
    is(subscribe_code($ann, 'chat:x'), 'ok', 'with its grants');
    is(subscribe_code($ann, 'ticker:x'), 4010, 'and no others');
};
check 'what auth_request denies is denied before the upgrade' => sub {
    is(handshake($auth, '/ws', Cookie => 'session=none')->{status}, 401, 'answered 401');
};
check 'a session without user is nobody' => sub {
    refused(Weft::Client->open(port => $auth, headers => [ Cookie => 'session=x' ]), 4001);
};
check 'grants that are none are refused, with a line in the log' => sub {
    refused(Weft::Client->open(port => $auth, headers => [ Cookie => 'session=broken' ]), 4002);
    like($nginx->error_log, qr/\[error\].*value of "weft_grants" is refused: channels is not an object/, 'which says what is wrong');
};
check 'a user that is none is refused, with a line in the log' => sub {
    refused(Weft::Client->open(port => $auth, headers => [ Cookie => 'session=evil' ]), 4002);
    like($nginx->error_log, qr/\[error\].*value of "weft_user" is refused: expected/, 'which says what is expected');
    refused(ws(path => '/user', headers => [ 'X-User' => 'x' x 256 ]), 4002);
    refused(ws(path => '/user', headers => [ 'X-User' => "\xff" ]), 4002);
};
check 'a user without grants may do nothing' => sub {
    my $idle = accepted(Weft::Client->open(port => $auth, headers => [ Cookie => 'session=idle' ]), 'idle');
    is(subscribe_code($idle, 'chat:x'), 4010, 'denied');
};
check 'a token where there is no weft_ticket is somebody else\'s matter' => sub {
    accepted(Weft::Client->open(port => $auth, headers => [ Cookie => 'session=ann', Authorization => 'Bearer ' . 'some-opaque-token-of-theirs' ]), 'ann');
};

# ---- the first message -------------------------------------------------------------------------------------------------

sub auth_frame { my ($client, $token) = @_; $client->send_json({ type => 'auth', id => 'a', payload => { token => $token } }); return $client }

my $first = $port{'The first message'};
check 'a ticket comes in by the first message' => sub {
    my $ann = auth_frame(Weft::Client->open(port => $first), good(sub => 'late'));
    my $greeting = $ann->next_message;
    is($greeting->{type}, 'connection_established', 'greeted');
    is($greeting->{id}, 'a', 'in answer to it');
    is($greeting->{payload}{user}, 'late', 'as late');
    is(subscribe_code($ann, 'chat:x'), 'ok', 'with its grants');
};
check 'a forged or expired one is refused' => sub {
    refused(auth_frame(Weft::Client->open(port => $first), $_), 4002) for forged(), good(exp => time - 60), secret('x' x 100);
};
check 'a header goes before it' => sub {
    accepted(Weft::Client->open(port => $first, ticket => good(sub => 'header')), 'header');
    refused(Weft::Client->open(port => $first, ticket => forged()), 4002);
};
check 'nothing else may come before it' => sub {
    for my $message ({ type => 'subscribe', payload => { channel => 'chat:x' } }, { type => 'ping' }) {
        my $client = Weft::Client->open(port => $first);
        $client->send_json($message);
        refused($client, 4001);
    }
};
check 'who says nothing is closed in time' => sub { refused(ws(path => '/first'), 4001) };
check 'the user is counted once the message has come' => sub {
    my $one = accepted(auth_frame(ws(path => '/counted'), good(sub => 'solo')), 'solo');
    refused(auth_frame(ws(path => '/counted'), good(sub => 'solo')), 4015);
    accepted(auth_frame(ws(path => '/counted'), good(sub => 'duo')), 'duo');
    $one->leave;
    my $again = wait_for {
        my $client = auth_frame(ws(path => '/counted'), good(sub => 'solo'));
        return $client->next_message->{type} eq 'connection_established';
    };
    ok($again, 'and counts no more when the connection has ended');
};

# ---- anonymous, and refusals before the upgrade ------------------------------------------------------------------------

my $open = $port{Anonymous};
check 'anonymous clients may do what everybody may' => sub {
    my $nobody = accepted(Weft::Client->open(port => $open), '');
    is(subscribe_code($nobody, 'ticker:x'), 'ok', 'what the line grants');
    is(subscribe_code($nobody, 'chat:x'), 4010, 'and no more');
    accepted(Weft::Client->open(port => $open, ticket => good()), 'ann');
    refused(Weft::Client->open(port => $open, ticket => forged()), 4002);
};
check 'weft_reject http answers 401 without an upgrade' => sub {
    my $port = $port{'Refusing before the upgrade'};
    for my $try ([], [ Authorization => 'Bearer ' . forged() ]) {
        my $answer = handshake($port, '/ws', @$try);
        is($answer->{status}, 401, 'answered 401');
        is($answer->{headers}{'www-authenticate'}, 'Bearer', 'with WWW-Authenticate');
        is($answer->{headers}{'sec-websocket-accept'}, undef, 'and no upgrade');
        unlike($answer->{body}, qr/signature|expired|eyJ/, 'which says no more');
    }
    is(handshake($port, '/ws', Authorization => 'Bearer ' . good())->{status}, 101, 'while a good ticket is upgraded');
};

# ---- back ends ---------------------------------------------------------------------------------------------------------

sub post {
    my ($port, $path, %headers) = @_;
    local $nginx->{port} = $port;
    return $nginx->request(POST => $path, content => '{"n":1}', headers => { 'Content-Type' => 'application/json', %headers });
}

sub is_answer {
    my ($answer, $status, $code, $what) = @_;
    is($answer->{status}, $status, "$what: $status") or diag($answer->{content});
    is($answer->{json}{code}, $code, 'code ' . ($code // 'none'));
    return;
}

my $reader = $node->client;
$reader->subscribe('chat:orders');
check 'an API key publishes where it may' => sub {
    my $port = $port{'API keys'};
    is_answer(post($port, '/publish/chat:orders', 'X-API-Key'   => $api_key),          202, undef, 'as X-API-Key');
    is_answer(post($port, '/publish/chat:orders', Authorization => "Bearer $api_key"), 202, undef, 'as a bearer');
    ok(!exists $reader->event->{publisher}, 'it has no publisher, as all back ends') for 1, 2;
    is_answer(post($port, '/publish/ticker:x', 'X-API-Key' => $api_key), 403, 4010, 'a channel that it does not grant');
    is_answer(post($port, '/publish/chat:orders'), 401, 4001, 'no key');
    is_answer(post($port, '/publish/chat:orders', 'X-API-Key' => secret('weft_' . 'A' x 43)), 401, 4002, 'an unknown key');
    is_answer(post($port, '/publish/chat:orders', 'X-API-Key' => ''), 401, 4002, 'an empty key');
    is_answer(post($port, '/publish/chat:orders', 'X-API-Key' => 'x' x 300), 401, 4002, 'a long key');
    is_answer(post($port, '/publish/chat:orders', 'X-API-Key' => secret('weft_' . 'B' x 43), Authorization => "Bearer $api_key"), 401, 4002,
        'an unknown key and a good one');
    is_answer(post($port, '/publish/chat:orders', Authorization => 'Bearer ' . good()), 401, 4002, 'a ticket, where none is asked for');
    is(post($port, '/publish/chat:orders', 'X-API-Key' => secret('weft_' . 'C' x 43))->{headers}{'www-authenticate'}, 'Bearer', 'WWW-Authenticate');
};
check 'a ticket publishes where it may' => sub {
    my $port = $port{'Tickets over HTTP'};
    is_answer(post($port, '/publish/chat:orders', Authorization => 'Bearer ' . good(sub => 'bob')), 202, undef, 'a good one');
    is($reader->event->{publisher}{user}, 'bob', 'as its user');
    is_answer(post($port, '/publish/chat:orders', Authorization => 'Bearer ' . good(channels => { 'chat:*' => ['subscribe'] })), 403, 4010, 'without the grant');
    is_answer(post($port, '/publish/ticker:x', Authorization => 'Bearer ' . good()), 403, 4010, 'where clients may not publish');
    is_answer(post($port, '/publish/chat:orders', Authorization => 'Bearer ' . forged()), 401, 4002, 'a forged one');
    is_answer(post($port, '/publish/chat:orders?ticket=' . good()), 401, 4001, 'one in the query does not count');
    is_answer(post($port, '/publish/chat:orders', Cookie => '__Host-weft=' . $t->ticket(sub => 'theirs')), 401, 4001, 'nor one in a cookie');
};
check 'where both are asked for, either will do' => sub {
    is_answer(post($node->port, '/both/chat:orders', 'X-API-Key' => $api_key), 202, undef, 'a key');
    is_answer(post($node->port, '/both/chat:orders', Authorization => "Bearer $api_key"), 202, undef, 'a key as a bearer');
    is_answer(post($node->port, '/both/chat:orders', Authorization => 'Bearer ' . good()), 202, undef, 'a ticket');
    is_answer(post($node->port, '/both/chat:orders', Authorization => 'Bearer ' . forged()), 401, 4002, 'a forged ticket');
};
check 'without either a location takes whoever nginx lets through' => sub {
    is(post($node->port, '/publish/chat:orders')->{status}, 202, 'as ever');
};

# ---- no leak -----------------------------------------------------------------------------------------------------------

check 'what nginx itself refuses is logged without credentials, too' => sub {
    my @all = (Authorization => 'Bearer ' . good(), 'Sec-WebSocket-Protocol' => 'bearer.' . good() . ', bearer, ' . good(), Cookie => 'weft=' . good());
    is(handshake($node->port, '/denied?ticket=' . good(), @all)->{status}, 403, 'denied');
    is(post($node->port, '/closed?ticket=' . good(), 'X-API-Key' => $api_key)->{status}, 403, 'denied to publish');
    is(handshake($node->port, '/user?ticket=' . good(), @all, Origin => 'https://evil.example')->{status}, 403, 'a wrong origin');
    is(handshake($node->port, '/user?ticket=' . good(), @all, 'Sec-WebSocket-Key' => 'x')->{status}, 400, 'a broken handshake');
    is($nginx->exchange("GET /plain?ticket=" . good() . " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " . good() . "\r\n\r\n")->{status}, 400, 'no handshake');
};
check 'no credential is found in any log, nor in the status' => sub {
    $reader->leave;
    wait_for { $node->status->{connections}{active} <= 2 };
    my $folder = $nginx->{folder};
    my %text = map { $_ => slurp($_) } glob("$folder/*.log"), $node->weftd->logs;
    $text{status} = $nginx->request(GET => '/status')->{content};
    cmp_ok(length $text{"$folder/all.log"}, '>', 5000, 'there is a log of what variables show');
    cmp_ok(length $text{"$folder/ended.log"}, '>', 2000, 'and one of connections');
    cmp_ok(scalar @secrets, '>', 60, 'and there were ' . @secrets . ' credentials');
    for my $file (sort keys %text) {
        my @leaked = grep { index($text{$file}, $_) >= 0 } @secrets;
        is(scalar @leaked, 0, "none of them is in $file") or diag(substr $leaked[0], 0, 80);
        my @parts = grep { length > 30 && index($text{$file}, $_) >= 0 } map { (split /\./)[1, 2] } grep { /^eyJ.*\./ } @secrets;
        is(scalar @parts, 0, 'nor claims or signature of one');
    }
    like($text{"$folder/all.log"}, qr/ticket=\*{20,}/, 'asterisks stand in the place of tickets');
    like($text{"$folder/all.log"}, qr{\|/plain\|-$}m, '$weft_request_uri is the URI without');
    like($text{"$folder/all.log"}, qr/^202\|.*\|shop$/m, '$weft_user is the name of an API key');
    like($text{"$folder/error.log"}, qr/forbidden by rule.*ticket=\*{20,}/, 'in the error log, too');
    like($text{"$folder/error.log"}, qr/ticket refused: /, 'which says why tickets were refused');
};

# ---- what nginx -t says ------------------------------------------------------------------------------------------------

my $empty = spew("$prefix/empty.keys", "# none\n\n");
my $wrong = spew("$prefix/wrong.keys", "ok sha256:" . '0' x 64 . " {}\nshop sha256:12 {}\n");
my $twice = spew("$prefix/twice.keys", "a sha256:" . '0' x 64 . " {}\na sha256:" . '1' x 64 . " {}\n");
my $loose = spew("$prefix/loose.keys", "a sha256:" . '0' x 64 . "\n");
my @bad = (
    [ "weft_ticket key=$key; weft_cookie 'a b';",          qr/invalid name "a b" in "weft_cookie", expected/ ],
    [ "weft_ticket key=$key; weft_cookie a; weft_cookie b;", qr/duplicate/ ],
    [ 'weft_user ann;',                                    qr/"ann" in "weft_user" has no variable, expected/ ],
    [ 'weft_user $nosuch;',                                qr/nosuch/ ],
    [ "weft_ticket key=$key; weft_grants '{}';",           qr/"weft_grants" and no "weft_user"/ ],
    [ 'weft_user $remote_user; weft_grants \'{"channels":1}\';', qr/in "weft_grants": channels is not an object/ ],
    [ 'weft_user $remote_user; weft_grants \'{"chanels":{}}\';', qr/in "weft_grants": .*other than/ ],
    [ 'weft_anonymous maybe;',                             qr/"maybe" in "weft_anonymous", expected on or off/ ],
    [ 'weft_anonymous on grants=x;',                       qr/grants in "weft_anonymous"/ ],
    [ 'weft_anonymous on colour=red;',                     qr/colour=red.*expected grants=/ ],
    [ "weft_anonymous off 'grants={}';",                   qr/takes no further/ ],
    [ "weft_ticket key=$key; weft_auth_timeout soon;",     qr/"soon" in "weft_auth_timeout", expected/ ],
    [ 'weft_auth_timeout 10s; weft_anonymous on;',         qr/"weft_auth_timeout" and no "weft_ticket"/ ],
    [ "weft_ticket key=$key; weft_auth_timeout 10s; weft_anonymous on;", qr/"weft_auth_timeout" and "weft_anonymous on"/ ],
    [ "weft_ticket key=$key; weft_expiry_notice -1;",      qr/"-1" in "weft_expiry_notice", expected/ ],
    [ "weft_ticket key=$key; weft_reject rudely;",         qr/"rudely" in "weft_reject", expected http or close/ ],
    [ "weft_ticket key=$key; weft_api_key /nonexistent;",  qr{"/nonexistent" in "weft_api_key"} ],
    [ "weft_ticket key=$key; weft_api_key $empty;",        qr/no key in it/ ],
    [ "weft_ticket key=$key; weft_api_key $wrong;",        qr/line 2: expected sha256:/ ],
    [ "weft_ticket key=$key; weft_api_key $twice;",        qr/line 2: this name is there already/ ],
    [ "weft_ticket key=$key; weft_api_key $loose;",        qr/line 1: .*not a JSON object/ ],
    [ 'weft_cookie a;',                                    qr/no "weft_ticket"/ ],
);
my $tester = $t->nginx('conf', stopped => 1);
for (@bad) {
    my ($text, $pattern) = @$_;
    my ($status, $output) = $tester->test_configuration($tester->configuration(location => $text));
    isnt($status, 0, 'nginx -t refuses: ' . substr $text, 0, 80);
    like($output, $pattern, 'and says why');
}
for (
    [ 'weft_publish with a parameter', 'location = /x { weft_publish chat:x nonsense; }', qr/"nonsense" in "weft_publish", expected ticket/ ],
    [ 'a ticket without weft_ticket',  'location = /x { weft_publish chat:x ticket; }',   qr/"weft_publish … ticket" has no "weft_ticket"/ ],
) {
    my ($what, $text, $pattern) = @$_;
    my ($status, $output) = $tester->test_configuration($tester->configuration(server => $text));
    isnt($status, 0, "nginx -t refuses $what");
    like($output, $pattern, 'and says why');
}

$t->finish;
done_testing;
