# Tickets of each algorithm, keys that are replaced while nginx runs, and tickets for one use.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Client;
use Weft::Test;
use Weft::Ticket qw(ticket);

my $t       = Weft::Test->new;
my $key     = $t->key_file;
my $prefix  = $t->prefix;
my $weftctl = "$Weft::Test::BUILD/weftctl";
my $sent    = 0;

# What weftctl prints, with words that need no quoting.
sub weftctl {
    my (@words) = @_;
    open my $pipe, '-|', $weftctl, @words or die "$weftctl: $!\n";
    my $output = do { local $/; <$pipe> };
    close $pipe or die "weftctl @words: status $?\n";
    chomp $output if $words[0] eq 'ticket';
    return $output;
}

# Puts a file in the place of another at once, as rotation does it.
sub replace {
    my ($path, $text) = @_;
    spew("$path.new", $text);
    rename "$path.new", $path or die "$path: $!\n";
    return;
}

# "accepted", or the code that the connection was closed with.
sub outcome {
    my ($nginx, $ticket, $path) = @_;
    my $client = Weft::Client->open(port => $nginx->port, path => $path // '/ws', ticket => $ticket);
    my $first  = $client->next_message;
    my $result = $first->{type} eq 'connection_established' ? 'accepted' : $client->read_close->{code};
    $client->hang_up;
    return $result;
}

sub becomes {
    my ($nginx, $ticket, $wanted, $statement, $path) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $last;
    wait_for { ($last = outcome($nginx, $ticket, $path)) eq $wanted };
    return is($last, $wanted, $statement);
}

# ---- keys ------------------------------------------------------------------------------------------------------------

my @ALGORITHMS = qw(HS256 HS384 HS512 RS256 PS256 ES256 ES384 EdDSA);
my (%secret, %public);
for my $algorithm (@ALGORITHMS) {
    my $hmac = $algorithm =~ /^HS/;
    $secret{$algorithm} = "$prefix/$algorithm.key";
    $public{$algorithm} = $hmac ? $secret{$algorithm} : "$prefix/$algorithm.pub";
    spew($secret{$algorithm}, weftctl('keygen', '--alg', $algorithm, $hmac ? () : ('--public', $public{$algorithm})));
}

sub mint {
    my ($algorithm, @more) = @_;
    return weftctl('ticket', '--key', $secret{$algorithm}, '--alg', $algorithm, '--user', 'ann', @more);
}

my $jwks = "$prefix/jwks.json";
replace($jwks, weftctl('jwks', "first=$secret{ES256}"));
my $all = "$prefix/all.json";
spew($all, '{"keys":[' . join(',', map { weftctl('jwks', '--alg', $_, "k-$_=$secret{$_}") =~ /(\{"kty".*\})/ } @ALGORITHMS) . ']}');

my $node = $t->node(
    'a',
    workers => 2,
    zone    => '4m tickets=64k',
    server  => join('',
        (map { "        location = /$_ { weft_websocket; weft_ticket key=$public{$_} alg=$_; }\n" } @ALGORITHMS),
        "        location = /rsa     { weft_websocket; weft_ticket key=$public{RS256}; }\n",
        "        location = /all     { weft_websocket; weft_ticket jwks=$all; }\n",
        "        location = /two     { weft_websocket; weft_ticket key=$public{HS256} key=$public{ES256}; }\n",
        "        location = /rotated { weft_websocket; weft_ticket jwks=$jwks; }\n",
        "        location = /named   { weft_websocket; weft_ticket key=$key iss=me iss=us aud=weft leeway=0s; }\n",
        "        location = /once    { weft_websocket; weft_ticket key=$key once; }\n",
        "        location = /once2   { weft_websocket; weft_ticket key=$key once; }\n",
        "        location = /other   { weft_websocket; weft_ticket key=$secret{HS256} once; }\n"),
);
my $nginx = $node->nginx;

for my $algorithm (@ALGORITHMS) {
    check "$algorithm is checked with its key, and by no other" => sub {
        my $ticket = mint($algorithm);
        is(outcome($nginx, $ticket, "/$algorithm"), 'accepted', 'from a file');
        is(outcome($nginx, mint($algorithm, '--kid', "k-$algorithm"), '/all'), 'accepted', 'from a set, by name');
        is(outcome($nginx, mint($algorithm, '--kid', 'k-none'), '/all'), 4002, 'a name that the set has not');
        my ($input, $signature) = $ticket =~ /^(.*)\.(.*)$/;
        substr($signature, 3, 1) = substr($signature, 3, 1) eq 'A' ? 'B' : 'A';
        is(outcome($nginx, "$input.$signature", "/$algorithm"), 4002, 'a signature that is not');
        for my $other (grep { $_ ne $algorithm } @ALGORITHMS) {
            is(outcome($nginx, $ticket, "/$other"), 4002, "not where $other is expected");
        }
    };
}

check 'an RSA key serves RS256 unless told otherwise' => sub {
    is(outcome($nginx, mint('RS256'), '/rsa'), 'accepted', 'RS256');
    spew("$prefix/ps.key", slurp($secret{RS256}));
    my $ps = weftctl('ticket', '--key', "$prefix/ps.key", '--alg', 'PS256', '--user', 'ann');
    is(outcome($nginx, $ps, '/rsa'), 4002, 'PS256 of the same key');
};
check 'a public key is no secret' => sub {
    for my $secret (slurp($public{RS256}), slurp($public{RS256}) =~ s/\n\z//r) {
        is(outcome($nginx, ticket($secret), '/RS256'), 4002, 'HS256 with the public key');
        is(outcome($nginx, ticket($secret), '/all'),   4002, 'where HS256 is taken besides');
    }
};
check 'several keys hold at once' => sub {
    is(outcome($nginx, mint('HS256'), '/two'), 'accepted', 'one');
    is(outcome($nginx, mint('ES256'), '/two'), 'accepted', 'the other');
    is(outcome($nginx, mint('HS256', '--kid', 'x'), '/two'), 'accepted', 'whatever name the ticket gives');
};
check 'issuer and audience are wanted where they are configured' => sub {
    my %good = (iss => 'me', aud => 'weft');
    is(outcome($nginx, ticket($Weft::Test::KEY, %good), '/named'), 'accepted', 'both');
    is(outcome($nginx, ticket($Weft::Test::KEY, %good, iss => 'us', aud => [ 'x', 'weft' ]), '/named'), 'accepted', 'others');
    for my $bad ({ iss => undef }, { iss => 'you' }, { aud => undef }, { aud => 'x' }, { aud => [] }, { aud => ['weft '] }) {
        is(outcome($nginx, ticket($Weft::Test::KEY, %good, %$bad), '/named'), 4002, join ' ', map { $_ // 'none' } %$bad);
    }
    my $log = $nginx->error_log;
    like($log, qr/ticket refused: iss is missing/,                   'the log says why');
    like($log, qr/ticket refused: aud has none that is expected/,    'each time');
    like($log, qr/ticket refused: alg is not one that is expected: /, 'for algorithms too');
    like($log, qr/ticket refused: no key has this kid/,              'and names');
};

# ---- rotation --------------------------------------------------------------------------------------------------------

check 'a set that is replaced holds without a reload, in all workers' => sub {
    my $old = mint('ES256', '--kid', 'first');
    my $new = mint('EdDSA', '--kid', 'second');
    is(outcome($nginx, $old, '/rotated'), 'accepted', 'the first key');
    is(outcome($nginx, $new, '/rotated'), 4002,       'the second is not known yet');
    replace($jwks, weftctl('jwks', "first=$secret{ES256}", "second=$secret{EdDSA}"));
    becomes($nginx, $new, 'accepted', 'both are there: the second', '/rotated') for 1 .. 8;
    is(outcome($nginx, $old, '/rotated'), 'accepted', 'and the first');
    replace($jwks, weftctl('jwks', "second=$secret{EdDSA}"));
    # Each worker looks for itself.
    ok(wait_for { !grep { outcome($nginx, $old, '/rotated') ne 4002 } 1 .. 12 }, 'the first is gone');
    is(outcome($nginx, $new, '/rotated'), 'accepted', 'the second stays');
};
check 'a set that is broken changes nothing, and is told once' => sub {
    my $good = mint('EdDSA', '--kid', 'second');
    my $bad  = qr/JWK set in "\Q$jwks\E" can't be used, the keys read before stay: /;
    for (
        [ '{"keys":[',                                           qr/it is not a JSON object/ ],
        [ '{"keys":[{"kty":"EC","crv":"P-256","d":"AA"}]}',      qr/key 1 is a private one/ ],
        [ '{"keys":[]}',                                         qr/it has no key that can be used/ ],
    ) {
        my ($text, $says) = @$_;
        replace($jwks, $text);
        ok(wait_for { outcome($nginx, $good, '/rotated') eq 'accepted' or die; $nginx->error_log =~ /$bad$says/ }, "logged: $text");
    }
    unlink $jwks;
    ok(wait_for { outcome($nginx, $good, '/rotated') eq 'accepted' or die; $nginx->error_log =~ /${bad}No such file/ }, 'logged: no file');
    outcome($nginx, $good, '/rotated') for 1 .. 20;
    sleep 3;    # each worker may look three times more
    is(outcome($nginx, $good, '/rotated'), 'accepted', 'the keys stay') for 1 .. 8;
    my $told = () = $nginx->error_log =~ /${bad}No such file/g;
    cmp_ok($told, '<=', 2, 'told once by each worker');
    spew($jwks, weftctl('jwks', "third=$secret{ES384}"));
    becomes($nginx, mint('ES384', '--kid', 'third'), 'accepted', 'a good one is taken again', '/rotated');
    like($nginx->error_log, qr/JWK set in "\Q$jwks\E" can be used again/, 'which is logged');
    unlike($nginx->error_log, qr/"kty"|-----BEGIN/, 'nothing of a key is in the log');
};
check 'a set that workers may not read is told before it is needed' => sub {
    plan skip_all => 'needs root' if $>;
    my $hidden = "$prefix/hidden.json";
    spew($hidden, weftctl('jwks', "first=$secret{ES256}"));
    chmod 0600, $hidden;
    my $other = $t->nginx('unprivileged', user => 'nobody nogroup', sidecar => $node->weftd->worker_address,
        location => "weft_ticket jwks=$hidden;");
    becomes($other, mint('ES256', '--kid', 'first'), 'accepted', 'what the master read holds', '/ws');
    like($other->error_log, qr/hidden\.json" can't be used, the keys read before stay: Permission denied/, 'the log tells');
};

# ---- once ------------------------------------------------------------------------------------------------------------

my $serial = 0;
sub single { return ticket($Weft::Test::KEY, jti => 'single-' . ++$serial, @_) }

check 'a ticket for one use is taken once, by one worker of two' => sub {
    for (1 .. 10) {
        my $ticket = single();
        is(outcome($nginx, $ticket, '/once'), 'accepted', 'once');
        # Connections spread over both workers.
        is(outcome($nginx, $ticket, '/once'), 4002, 'not again') for 1 .. 4;
        is(outcome($nginx, $ticket, '/once2'), 4002, 'nor elsewhere with the same key');
    }
    my %workers = map { $nginx->worker_of($_) => 1 }
        map { Weft::Client->join(port => $nginx->port, path => '/once', ticket => single()) } 1 .. 30;
    is(scalar keys %workers, 2, 'both workers take some');
    like($nginx->error_log, qr/ticket refused: it was used before/, 'the log says why');
};
check 'of many who come at once with one ticket one gets in' => sub {
    my $ticket  = single();
    my @clients = map { Weft::Client->open(port => $nginx->port, path => '/once', ticket => $ticket) } 1 .. 20;
    my @in      = grep { $_->next_message->{type} eq 'connection_established' } @clients;
    is(scalar @in, 1, 'one');
};
check 'a ticket without jti is refused where it counts' => sub {
    is(outcome($nginx, ticket($Weft::Test::KEY), '/once'), 4002, 'refused');
    like($nginx->error_log, qr/ticket refused: jti is missing, which once needs/, 'and the log says why');
    is(outcome($nginx, ticket($Weft::Test::KEY)), 'accepted', 'elsewhere it is good');
};
check 'the same jti under another key is another ticket' => sub {
    my $first = single(jti => 'shared');
    is(outcome($nginx, $first, '/once'), 'accepted', 'the one');
    my $other = mint('HS256', '--jti', 'shared');
    is(outcome($nginx, $other, '/other'), 'accepted', 'the other');
    is(outcome($nginx, $other, '/other'), 4002,       'once');
};
check 'a bad ticket uses nothing up' => sub {
    my %change = (jti => 'spared');
    is(outcome($nginx, ticket('x' x 40, %change), '/once'), 4002, 'a forged one');
    is(outcome($nginx, ticket($Weft::Test::KEY, %change, exp => time - 60), '/once'), 4002, 'an expired one');
    is(outcome($nginx, ticket($Weft::Test::KEY, %change), '/once'), 'accepted', 'the good one is still good');
};
check 'a reload remembers, and a worker that was killed takes nothing with it' => sub {
    my $ticket = single();
    is(outcome($nginx, $ticket, '/once'), 'accepted', 'once');
    $nginx->reload;
    is(outcome($nginx, $ticket, '/once'), 4002, 'not after a reload');
    my @workers = $nginx->workers;
    $t->expect_in_log(qr/worker process \d+ exited on signal 9/);
    kill KILL => @workers;
    ok(wait_for { my %now = map { $_ => 1 } $nginx->workers; 2 == keys %now && !grep { $now{$_} } @workers }, 'new workers');
    becomes($nginx, single(), 'accepted', 'others are taken', '/once');
    is(outcome($nginx, $ticket, '/once'), 4002, 'this one is still known');
};
check 'when there is no room, tickets are refused for the time being, and the log tells' => sub {
    my ($full, $count) = (undef, 0);
    while (!$full && $count < 5000) {
        my @clients = map { Weft::Client->open(port => $nginx->port, path => '/once', ticket => single()) } 1 .. 100;
        for my $client (@clients) {
            my $first = $client->next_message;
            if   ($first->{type} eq 'error') { $full //= { %{ $first->{payload} }, closed => $client->read_close->{code} } }
            else                             { ++$count }
            $client->hang_up;
        }
    }
    cmp_ok($count, '>', 1500, "$count were taken before");
    is($full->{code},   4017, 'then the answer is: unavailable');
    is($full->{closed}, 4017, 'and the connection is closed so');
    is($full->{retry_after_ms}, 5000, 'with when to come again');
    unlike($full->{message}, qr/zone|memory|full/, 'and nothing of how the server is made');
    like($nginx->error_log, qr/\[error\].*no room to remember used tickets.*"tickets=" of "weft_zone" is 65536 bytes/, 'the operator hears more');
    is(outcome($nginx, ticket($Weft::Test::KEY), '/ws'), 'accepted', 'where tickets count for more than one use all goes on');
};
# ---- nginx.conf ------------------------------------------------------------------------------------------------------

my $conf = $t->nginx('conf', stopped => 1);
my ($ed, $private) = ($public{EdDSA}, $secret{EdDSA});
spew("$prefix/broken.json", '{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}');
for (
    [ 'every parameter'         => "weft_ticket key=$key key=$ed jwks=$all alg=HS256,EdDSA leeway=1s iss=a iss=b aud=c max_age=1m once;" ],
    [ 'a set alone'             => "weft_ticket jwks=$all;" ],
    [ 'a zone for used tickets' => "weft_ticket key=$key once;", '4m tickets=1m' ],
) {
    my ($statement, $line, $zone) = @$_;
    my ($status, $output) = $conf->test_configuration($conf->configuration(location => $line, $zone ? (zone => $zone) : ()));
    is($status, 0, "$statement: accepted") or diag($output);
}
for (
    [ "weft_ticket once;",                          qr/no key in "weft_ticket", expected key=FILE or jwks=FILE/ ],
    [ "weft_ticket key=;",                          qr/no file in "key=" of "weft_ticket"/ ],
    [ "weft_ticket jwks=;",                         qr/no file in "jwks=" of "weft_ticket"/ ],
    [ "weft_ticket jwks=$all jwks=$all;",           qr/"jwks=\Q$all\E" in "weft_ticket" is there already/ ],
    [ "weft_ticket jwks=/nonexistent;",             qr{JWK set "/nonexistent" in "weft_ticket": No such file} ],
    [ "weft_ticket jwks=/etc;",                     qr{JWK set "/etc" in "weft_ticket": it is not a file} ],
    [ "weft_ticket jwks=$key;",                     qr/JWK set "\Q$key\E" in "weft_ticket": it is not a JSON object/ ],
    [ "weft_ticket jwks=$prefix/broken.json;",      qr/key 1 is none that can be used: the key has 5 bytes: HS256 needs at least 32/ ],
    [ "weft_ticket jwks=$jwks alg=RS256;",          qr/it has no key that can be used for RS256/ ],
    [ "weft_ticket key=$all;",                      qr/it holds JSON, not a secret, expected a secret, a public key in PEM, or jwks=FILE/ ],
    [ "weft_ticket key=$private;",                  qr/it holds a private key: expected the public one/ ],
    [ "weft_ticket key=$ed alg=ES256;",             qr/the key can't serve ES256: it is one for EdDSA/ ],
    [ "weft_ticket key=$key alg=EdDSA;",            qr/the key can't serve EdDSA: it is one for HS256, HS384, HS512/ ],
    [ "weft_ticket key=$key alg=HS512;",            qr/the key has 33 bytes: HS512 needs at least 64/ ],
    [ "weft_ticket key=$key alg=HS256,RS512;",      qr/unknown algorithm "RS512" in "alg=HS256,RS512" of "weft_ticket", expected some of HS256, / ],
    [ "weft_ticket key=$key alg=none;",             qr/unknown algorithm "none"/ ],
    [ "weft_ticket key=$key alg=;",                 qr/unknown algorithm "" in "alg="/ ],
    [ "weft_ticket key=$key alg=HS256 alg=HS256;",  qr/"alg" is there already/ ],
    [ "weft_ticket key=$key once once;",            qr/"once" in "weft_ticket" is there already/ ],
    [ "weft_ticket key=$key iss=;",                 qr/"iss=" in "weft_ticket" is empty, expected a name/ ],
    [ "weft_ticket key=$key aud=;",                 qr/"aud=" in "weft_ticket" is empty, expected a name/ ],
    [ "weft_ticket key=$key leeway=1s leeway=1s;",  qr/"leeway=1s" in "weft_ticket" is there already/ ],
    [ "weft_ticket key=$key max_age=1s max_age=1s;", qr/"max_age=1s" in "weft_ticket" is there already/ ],
    [ "weft_ticket key=$key leeway=48h;",           qr/the leeway is out of range: expected 0 to 24 hours/ ],
    [ "weft_ticket " . ("key=$key " x 5) . ';',     qr/there are more than 4 keys without a kid for HS256/ ],
    [ '', qr/invalid parameter "tickets=1k" in "weft_zone", expected tickets=SIZE of at least 64k/, '4m tickets=1k' ],
    [ '', qr/invalid parameter "colour=red" in "weft_zone", expected tickets=SIZE/, '4m colour=red' ],
) {
    my ($line, $says, $zone) = @$_;
    my ($status, $output) = $conf->test_configuration(
        $conf->configuration($zone ? (zone => $zone) : (location => $line)));
    isnt($status, 0, "refused: $line" . ($zone // ''));
    like($output, qr/$says.* in \S+try\.conf:\d+/, 'with what was expected, and where');
}

$t->finish;
done_testing;
