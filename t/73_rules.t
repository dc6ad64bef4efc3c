# weft_channel and a ticket's grants: who may do what in which channel.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Weft::Test;

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my $node = $t->node(
    'a',
    rules => <<'RULES',
    weft_channel chat:secret { deny all; publish on; public on; }
    weft_channel chat:*      { publish on; presence on; history 100 10m; ack local; }
    weft_channel news:**     { public on; history off; signal off; }
    weft_channel wall:*      { public on; publish on; deny signal history; }
    weft_channel "user:{sub}"    { publish on; }
    weft_channel "user:{sub}:**" { public on; }
    weft_channel user:*:shared   { public on; publish on; }
    weft_channel plain { }
RULES
);

my $ALL   = ['*'];
my %every = (channels => { '**' => $ALL });

# What a client with these claims is answered: the frame's type, or the error's code.
sub answer {
    my ($claims, $type, $channel) = @_;
    my $client  = $node->client(with => { ticket => $t->ticket(%$claims) });
    my %payload = (channel => $channel);
    $payload{data} = 1       if $type ne 'subscribe';
    $payload{name} = 'typing' if $type eq 'signal';
    my $frame = $client->call($type, %payload);
    return $frame->{type} eq 'error' ? $frame->{payload}{code} : $frame->{type};
}

my @table = (
    # user and claims, type, channel, answer
    [ { %every },                                                  'subscribe', 'chat:a',      'subscribed' ],
    [ { %every },                                                  'publish',   'chat:a',      'published' ],
    [ { %every },                                                  'signal',    'chat:a',      'published' ],
    [ { %every },                                                  'subscribe', 'chatter:a',   4007 ],
    [ { %every },                                                  'subscribe', 'chat:a:b',    4007 ],
    [ { %every },                                                  'publish',   'plain',       4010 ],
    [ { %every },                                                  'signal',    'plain',       'published' ],
    [ { channels => {} },                                          'subscribe', 'chat:a',      4010 ],
    [ { channels => { 'chat:*' => ['subscribe'] } },               'publish',   'chat:a',      4010 ],
    [ { channels => { 'chat:*' => $ALL } },                        'publish',   'chat:a',      'published' ],
    [ { channels => { '*' => $ALL } },                             'subscribe', 'chat:a',      4010 ],
    # public
    [ { channels => {} },                                          'subscribe', 'news:a:b',    'subscribed' ],
    [ { channels => {} },                                          'publish',   'news:a',      4010 ],
    [ { %every },                                                  'publish',   'news:a',      4010 ],
    [ { %every },                                                  'signal',    'news:a',      4010 ],
    [ { channels => {} },                                          'publish',   'wall:a',      4010 ],
    [ { channels => { 'wall:a' => ['publish'] } },                 'publish',   'wall:a',      'published' ],
    # deny
    [ { %every },                                                  'subscribe', 'chat:secret', 4010 ],
    [ { %every },                                                  'publish',   'chat:secret', 4010 ],
    [ { %every },                                                  'signal',    'wall:a',      4010 ],
    [ { channels => { 'chat:*' => $ALL, '!chat:b' => $ALL } },     'subscribe', 'chat:b',      4010 ],
    [ { channels => { 'chat:*' => $ALL, '!chat:b' => $ALL } },     'subscribe', 'chat:a',      'subscribed' ],
    [ { channels => { 'chat:b' => $ALL, '!chat:*' => ['publish'] } }, 'publish', 'chat:b',     4010 ],
    [ { channels => { 'chat:b' => $ALL, '!chat:*' => ['publish'] } }, 'subscribe', 'chat:b',   'subscribed' ],
    [ { channels => { '!news:a' => $ALL } },                       'subscribe', 'news:a',      4010 ],
    # owners
    [ { sub => 'ann', channels => { 'user:{sub}' => $ALL } },      'subscribe', 'user:ann',    'subscribed' ],
    [ { sub => 'ann', channels => { 'user:{sub}' => $ALL } },      'publish',   'user:ann',    'published' ],
    [ { sub => 'ann', channels => { 'user:{sub}' => $ALL } },      'subscribe', 'user:bob',    4010 ],
    [ { sub => 'ann', %every },                                    'subscribe', 'user:bob',    4010 ],
    [ { sub => 'ann', channels => { 'user:bob' => $ALL } },        'subscribe', 'user:bob',    4010 ],
    [ { sub => 'ann', channels => {} },                            'subscribe', 'user:ann:inbox', 'subscribed' ],
    [ { sub => 'ann', channels => {} },                            'subscribe', 'user:bob:inbox', 4010 ],
    [ { sub => 'ann', %every },                                    'subscribe', 'user:bob:shared', 4010 ],
    [ { sub => 'ann@example.com', %every },                        'subscribe', 'user:ann@example.com', 'subscribed' ],
    # a sub is a name, whatever is in it
    [ { sub => '*',     channels => { 'user:{sub}' => $ALL } },    'subscribe', 'user:ann',    4010 ],
    [ { sub => '**',    %every },                                  'subscribe', 'user:ann:inbox', 4010 ],
    [ { sub => '{sub}', %every },                                  'subscribe', 'user:ann',    4010 ],
    [ { sub => 'ann:inbox', %every },                              'subscribe', 'user:ann:inbox', 4010 ],
    [ { sub => 'an',    %every },                                  'subscribe', 'user:ann',    4010 ],
    [ { sub => 'ann',   channels => { 'chat:{sub}' => $ALL } },    'subscribe', 'chat:ann',    'subscribed' ],
    [ { sub => 'ann',   channels => { 'chat:{sub}' => $ALL } },    'subscribe', 'chat:bob',    4010 ],
    [ { sub => '*',     channels => { 'chat:{sub}' => $ALL } },    'subscribe', 'chat:bob',    4010 ],
);
for (@table) {
    my ($claims, $type, $channel, $expected) = @$_;
    my $grants = join ' ', map { "$_=@{ $claims->{channels}{$_} }" } sort keys %{ $claims->{channels} };
    is(answer($claims, $type, $channel), $expected, "$type $channel by " . ($claims->{sub} // 'somebody') . " with \"$grants\"");
}

check 'methods can be denied, too' => sub {
    my $client = $node->client(with => { ticket => $t->ticket(rpc => [ '**', '!weft.*' ]) });
    is($client->call('rpc', method => 'weft.time')->{payload}{code}, 4010, 'the one that is denied');
    isnt($client->call('rpc', method => 'nothing')->{payload}{code}, 4010, 'and no other');
};

check 'a ticket whose grants are no patterns is refused' => sub {
    for my $pattern ('chat**', 'user:{sub}*', '!', '!!chat:*', 'a b', 'user:{jti}') {
        my $client = Weft::Client->open(port => $node->port, ticket => $t->ticket(channels => { $pattern => $ALL }));
        is($client->read_close->{code}, 4002, $pattern);
    }
};

check 'back ends publish whatever the rule says to clients' => sub {
    my $ann = $node->client(with => { ticket => $t->ticket(sub => 'ann', %every) });
    $ann->subscribe('user:ann');
    $node->publish('user:ann', '"for you"');
    is($ann->event->{data}, 'for you', 'to an owner');
    is($node->nginx->request(POST => '/publish/chat:secret', content => '1')->{status}, 202, 'to what is denied to all clients');
};

check 'what is denied is counted' => sub {
    my $before = $node->status->{refused}{denied};
    answer({ %every }, 'subscribe', 'chat:secret');
    is($node->status->{refused}{denied}, $before + 1, 'one more');
};

# ---- configuration ---------------------------------------------------------------------------------------------------

my $conf = $t->nginx('c', stopped => 1);
for (
    [ 'x { public on; signal off; presence on; history 10 1h; ack peer; deny publish history; }', undef ],
    [ 'x { rate 10r/s burst=20; max_size 4k; max_members 500; history off; }', undef ],
    [ '"user:{sub}:*" { public off; }', undef ],
    [ 'x { public; }',            qr/invalid number of arguments in "public" in "weft_channel"/ ],
    [ 'x { public yes; }',        qr/invalid value of "public" in "weft_channel", expected "public on;" or "public off;"/ ],
    [ 'x { presence on off; }',   qr/invalid value of "presence" in "weft_channel", expected "debounce=" and a time/ ],
    [ 'x { presence yes; }',      qr/"presence on;" or "presence off;" or "presence counts;"/ ],
    [ 'x { presence on debounce=0; }', undef ],
    [ 'x { presence counts; }',   undef ],
    [ 'x { presence counts debounce=1s; }', qr/invalid value of "presence" in "weft_channel", expected "presence on;" or/ ],
    [ 'x { presence on debounce=11m; }', qr/invalid value of "presence" in "weft_channel", expected "debounce=" and a time up to 10m/ ],
    [ 'x { presence on debounce=soon; }', qr/expected "debounce=" and a time/ ],
    [ 'x { signal on; signal on; }', qr/"signal" is duplicate in "weft_channel"/ ],
    [ 'x { deny everything; }',   qr/"deny all;" or some of subscribe, publish, signal, presence and history, not "everything"/ ],
    [ 'x { deny *; }',            qr/not "\*"/ ],
    [ 'x { ack all; }',           qr/"ack local;" or "ack peer;"/ ],
    [ 'x { history 100; }',       qr/invalid value of "history" in "weft_channel", expected a number of publications .* "history 100 10m;"/ ],
    [ 'x { history 0 10m; }',     qr/invalid value of "history"/ ],
    [ 'x { history 10 soon; }',   qr/invalid value of "history"/ ],
    [ 'x { history 10 1m 2m; }',  qr/invalid value of "history"/ ],
    [ 'x { rate fast; }',         qr/invalid rate "fast" in "rate", expected a rate such as 100r\/s/ ],
    [ 'x { rate 1r/s burst=x; }', qr/invalid parameter "burst=x" in "rate"/ ],
    [ 'x { max_size 0; }',        qr/invalid value of "max_size" in "weft_channel", expected 1 byte to 8m/ ],
    [ 'x { max_size 9m; }',       qr/invalid value of "max_size"/ ],
    [ 'x { max_members 0; }',     qr/invalid value of "max_members"/ ],
    [ 'x { publsh on; }',         qr/unknown option "publsh" in "weft_channel", expected one of publish, public, / ],
    [ '"user:{sub}*" { }',        qr/"\{sub\}" as a segment of its own/ ],
    [ '"user:{name}" { }',        qr/"\{sub\}" as a segment of its own/ ],
    [ 'chat** { }',               qr/"chat\*\*" has "\*\*" in its first segment, expected "chat:\*\*" for what is below it/ ],
    )
{
    my ($rule, $says) = @$_;
    my ($status, $output) = $conf->test_configuration($conf->configuration(http => "    weft_channel $rule\n"));
    if ($says) { ok($status != 0 && $output =~ $says && $output =~ /try\.conf:\d+/, "weft_channel $rule is refused") or diag($output) }
    else       { is($status, 0, "weft_channel $rule is accepted") or diag($output) }
}

$t->finish;
done_testing;
