# Credentials: each way to send a ticket with each kind of ticket, and what becomes of refused ones.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw(encode_base64);
use Test::More;
use Weft::Test;
use Weft::Ticket qw(claims sign ticket @FORGERIES);

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node(
    'a',
    server => "        location /aged { weft_websocket; weft_ticket key=$key max_age=60s leeway=5s; }\n"
        . "        location /strict { weft_websocket; weft_ticket key=$key leeway=0s; }\n",
);
my $KEY = $Weft::Test::KEY;
my @sent;    # every ticket that was sent: none may be found in a log

my %ways = (
    'Authorization: Bearer' => sub { (headers => [ Authorization => "Bearer $_[0]" ]) },
    'the subprotocol'       => sub { (protocols => "weft.v1.json, bearer.$_[0]") },
    'the query'             => sub { (query => "ticket=$_[0]") },
);

# Connects with a ticket in a way; returns a client that is upgraded, and how the conversation began.
sub attempt {
    my ($way, $ticket, $path) = @_;
    push @sent, $ticket if defined $ticket && length $ticket > 40;
    my %with = defined $ticket ? $ways{$way}->($ticket) : ();
    $path //= '/ws';
    $path .= '?' . delete $with{query} if defined $with{query};
    return Weft::Client->open(port => $node->port, path => $path, %with);
}

sub refused {
    my ($client, $code) = @_;
    my $close = $client->read_close;
    is($close->{code}, $code, "closed with $code");
    is(scalar(grep { $_->{type} ne 'error' } @{ $close->{messages} }), 0, 'and told nothing but an error');
    my ($error) = @{ $close->{messages} };
    is($error->{payload}{code}, $code, 'which says the same') if $error;
    my $text = join ' ', $close->{reason} // '', map { $_->{payload}{message} // '' } @{ $close->{messages} };
    unlike($text, qr/signature|expired at|HS256/i, 'nor why in particular') if $code == 4002;
    return;
}

sub accepted {
    my ($client, $user) = @_;
    my $first = $client->next_message;
    is($first->{type}, 'connection_established', 'greeted');
    return is($first->{payload}{user}, $user, "as $user");
}

# Times are those of the moment in which a ticket is sent: a slow machine may need longer than the leeway to come to it.
my @good = (
    [ 'a good ticket'                    => { sub => 'ann' } ],
    [ 'a ticket without iat'             => { iat => undef } ],
    [ 'a ticket that expired within the leeway' => sub { (exp => time - 1) } ],
    [ 'a ticket valid since a while'     => sub { (nbf => time - 100) } ],
    [ 'a ticket valid from within the leeway' => sub { (nbf => time + 3) } ],
    [ 'a ticket with fractional times'   => sub { (exp => time + 60.5, iat => time - 0.5) } ],
    [ 'a ticket without grants'          => { channels => undef, rpc => undef } ],
    [ 'a ticket with claims of others'   => { email => 'x@example.com', roles => [ 1, { a => undef } ] } ],
);
my @bad = (
    [ 'an expired ticket'                => sub { (exp => time - 60) } ],
    [ 'a ticket not valid yet'           => sub { (nbf => time + 60) } ],
    [ 'a ticket without sub'             => { sub => undef } ],
    [ 'a ticket without exp'             => { exp => undef } ],
    [ 'a ticket with a number for sub'   => { sub => 7 } ],
    [ 'a ticket with an empty sub'       => { sub => '' } ],
    [ 'a ticket with a sub of 256 bytes' => { sub => 'x' x 256 } ],
    [ 'a ticket with a text for exp'     => { exp => 'tomorrow' } ],
    [ 'a ticket with a list for grants'  => { channels => ['chat:*'] } ],
    [ 'a ticket with a bad pattern'      => { channels => { 'a:**:b' => ['subscribe'] } } ],
);

sub changes { my ($change) = @_; return ref $change eq 'CODE' ? $change->() : %$change }

for my $way (sort keys %ways) {
    for (@good) {
        my ($what, $change) = @$_;
        check "$what by $way is taken" => sub { accepted(attempt($way, ticket($KEY, changes($change))), 'ann') };
    }
    for (@bad) {
        my ($what, $change) = @$_;
        check "$what by $way is closed with 4002" => sub { refused(attempt($way, ticket($KEY, changes($change))), 4002) };
    }
    for (@FORGERIES) {
        my ($what, $forge) = @$_;
        my $ticket = $forge->($KEY);
        # A subprotocol is a token (RFC 9110), and a query is cut at "&" and "#": what can't travel isn't tried.
        next if $way eq 'the subprotocol' && $ticket =~ /[?]/;
        next if $way eq 'the query'       && $ticket =~ /[#&]/;
        check "$what by $way is closed with 4002" => sub { refused(attempt($way, $ticket), 4002) };
    }
}

check 'without credentials the connection is closed with 4001' => sub { refused(attempt(undef, undef), 4001) };
check 'an empty ticket in the query counts as none' => sub {
    my $close = attempt('the query', '')->read_close;
    like($close->{code}, qr/^400[12]$/, 'refused');
};
check 'another scheme of Authorization is no ticket' => sub {
    my $client = Weft::Client->open(port => $node->port, headers => [ Authorization => 'Basic ' . encode_base64('a:b', '') ]);
    my $close  = $client->read_close;
    like($close->{code}, qr/^400[12]$/, 'refused');
};
check 'the scheme is compared without regard to case' => sub {
    my $client = Weft::Client->open(port => $node->port, headers => [ Authorization => 'bEaReR ' . $t->ticket ]);
    accepted($client, 'ann');
};
check 'the header goes before the subprotocol, and that before the query' => sub {
    my $query = '?ticket=' . $t->ticket(sub => 'query');
    my $offer = 'bearer.' . $t->ticket(sub => 'protocol');
    accepted(Weft::Client->open(port => $node->port, path => "/ws$query", protocols => $offer, ticket => $t->ticket(sub => 'header')), 'header');
    accepted(Weft::Client->open(port => $node->port, path => "/ws$query", protocols => $offer), 'protocol');
    accepted(Weft::Client->open(port => $node->port, path => "/ws$query"), 'query');
};
check 'a bad ticket is not made good by another one' => sub {
    my $client = Weft::Client->open(port => $node->port, path => '/ws?ticket=' . $t->ticket, ticket => ticket('x' x 40));
    refused($client, 4002);
};
check 'the ticket is found among other arguments' => sub {
    accepted(Weft::Client->open(port => $node->port, path => '/ws?a=1&ticket=' . $t->ticket . '&b=2'), 'ann');
};
check 'a ticket of many grants is taken' => sub {
    my %channels = map { ("room:$_" => ['subscribe']) } 1 .. 100;
    accepted(Weft::Client->open(port => $node->port, ticket => $t->ticket(channels => \%channels)), 'ann');
};
check 'a ticket beyond the largest is refused' => sub {
    my $client = eval { Weft::Client->open(port => $node->port, ticket => $t->ticket(filler => 'x' x 7000)) };
    # nginx itself refuses a header line beyond large_client_header_buffers with 400.
    $client ? like($client->read_close->{code}, qr/^4002$/, 'closed') : like($@, qr/ 4\d\d /, 'refused by nginx');
};

check 'max_age takes a fresh ticket' => sub { accepted(attempt('the query', ticket($KEY), '/aged'), 'ann') };
check 'max_age refuses a ticket that is too old, though it has not expired' => sub {
    refused(attempt('the query', ticket($KEY, iat => time - 70), '/aged'), 4002);
};
check 'max_age refuses a ticket without iat' => sub { refused(attempt('the query', ticket($KEY, iat => undef), '/aged'), 4002) };
check 'max_age refuses a ticket from the future' => sub {
    refused(attempt('the query', ticket($KEY, iat => time + 600, exp => time + 1200), '/aged'), 4002);
};
check 'without leeway a second too late is too late' => sub {
    refused(attempt('the query', ticket($KEY, exp => time - 1), '/strict'), 4002);
};

check 'a key file may be read by the master alone' => sub {
    plan skip_all => 'needs root' if $>;
    chmod 0600, $key;
    my $nginx = $t->nginx('unprivileged', user => 'nobody nogroup');
    my $client = Weft::Client->join(port => $nginx->port, ticket => $t->ticket);
    is($client->greeting->{user}, 'ann', 'workers that run as nobody know it');
};

check 'a key changed on disk holds after a reload' => sub {
    my $other = 'another key, longer than 32 bytes, for later';
    my $file  = spew($t->prefix . '/changing.key', "$KEY\n");
    my $nginx = $t->nginx('rekeyed', location => "weft_ticket key=$file;");
    accepted(Weft::Client->open(port => $nginx->port, ticket => ticket($KEY)), 'ann');
    spew($file, "$other\n");
    refused(Weft::Client->open(port => $nginx->port, ticket => ticket($other)), 4002);
    my @old    = $nginx->reload;
    my $client = Weft::Client->open(port => $nginx->port, ticket => ticket($other));
    my $worker = $nginx->worker_of($client) // 'nobody';
    accepted($client, 'ann') or diag("by worker $worker of @{[ $nginx->workers ]}, after @old\n" . $nginx->error_log);
    refused(Weft::Client->open(port => $nginx->port, ticket => ticket($KEY)), 4002);
};

check 'no ticket is found in the error log' => sub {
    my $log    = $node->nginx->error_log;
    my @leaked = grep { index($log, $_) >= 0 } @sent;
    is(scalar @leaked, 0, 'none of ' . @sent . ' that were sent');
    my @signatures = grep { length > 20 && index($log, $_) >= 0 } map { /([^.]*)$/ } @sent;
    is(scalar @signatures, 0, 'nor a signature alone');
    is(index($log, $KEY), -1, 'nor the key');
};
check 'the error log says why a ticket was refused' => sub {
    like($node->nginx->error_log, qr/refused: .*exp/, 'one that had expired');
    like($node->nginx->error_log, qr/signature/, 'one with a wrong signature');
};

$t->finish;
done_testing;
